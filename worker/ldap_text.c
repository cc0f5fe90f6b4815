#include "worker/ldap_text.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"
#include "lib/mem.h"

/* ---- escaping ---------------------------------------------------------------------------------------------------- */

void ldap_filter_escape(struct buf *out, const char *value)
{
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (strchr("*()\\", *c)) {
            buf_addf(out, "\\%02x", *c);
        } else {
            buf_add(out, c, 1);
        }
    }
}

void ldap_dn_escape(struct buf *out, const char *value)
{
    size_t len = strlen(value);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        bool edge = (c == ' ' && (i == 0 || i == len - 1)) || (c == '#' && i == 0);
        if (c < ' ' || c == 127) {
            buf_addf(out, "\\%02x", c);
        } else if (edge || strchr("\"+,;<>\\=", c)) {
            buf_addf(out, "\\%c", c);
        } else {
            buf_add(out, &c, 1);
        }
    }
}

void ldap_dn_split(const char *dn, char **rdn, char **parent)
{
    const char *at = dn;
    bool quoted = false;
    while (*at && (quoted || (*at != ',' && *at != ';'))) { /* the older form quotes (RFC 2253, 4) */
        quoted = *at == '"' ? !quoted : quoted;
        at += *at == '\\' && at[1] ? 2 : 1;
    }
    const char *rest = *at ? at + 1 : at;
    *rdn = mem_strndup(dn, (size_t)(at - dn));
    *parent = mem_strdup(rest + strspn(rest, " "));
}

char *ldap_url(const char *server, const char *dn, const char *scope, const char *filter)
{
    const char *const parts[] = {dn, scope, filter};
    struct buf url = BUF_INIT;
    size_t len = strlen(server);
    buf_add(&url, server, len && server[len - 1] == '/' ? len - 1 : len);
    for (size_t i = 0; i < COUNT_OF(parts) && parts[i]; i++) {
        buf_adds(&url, i == 0 ? "/" : i == 1 ? "??" : "?"); /* the attributes are left out */
        for (const unsigned char *c = (const unsigned char *)parts[i]; *c; c++) {
            if (*c <= ' ' || *c >= 127 || strchr("%?#\"<>\\^`{|}", *c)) {
                buf_addf(&url, "%%%02X", *c);
            } else {
                buf_add(&url, c, 1);
            }
        }
    }
    return buf_take(&url);
}

/* ---- values that are written ------------------------------------------------------------------------------------- */

static struct berval *new_value(const char *data, size_t len)
{
    struct berval *value = MEM_NEW(struct berval);
    value->bv_val = mem_strndup(data, len);
    value->bv_len = len;
    return value;
}

/* jansson has made sure that it is UTF-8. */
static struct berval *utf16_value(const char *text)
{
    struct buf out = BUF_INIT;
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        int more = *c < 0x80 ? 0 : *c < 0xe0 ? 1 : *c < 0xf0 ? 2 : 3;
        uint32_t point = more ? *c & (0x3fU >> more) : *c;
        for (c++; more > 0; more--, c++) {
            point = point << 6 | (*c & 0x3fU);
        }
        uint32_t units[2] = {point, 0};
        size_t count = 1;
        if (point > 0xffff) {
            units[0] = 0xd800 + ((point - 0x10000) >> 10);
            units[1] = 0xdc00 + ((point - 0x10000) & 0x3ff);
            count = 2;
        }
        for (size_t i = 0; i < count; i++) {
            char bytes[2] = {(char)(units[i] & 0xff), (char)(units[i] >> 8)};
            buf_add(&out, bytes, 2);
        }
    }
    struct berval *value = MEM_NEW(struct berval);
    value->bv_len = out.len;
    value->bv_val = buf_take(&out);
    return value;
}

/* With its padding and nothing else: libcrypto would skip white space. */
static struct berval *base64_value(const char *text, struct err *err)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(text), digits = strspn(text, alphabet), padding = len - digits;
    bool well_formed = digits && len % 4 == 0 && padding <= 2 && strspn(text + digits, "=") == padding;
    unsigned char *bytes = mem_alloc(len + 1);
    int got = well_formed ? EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len) : -1;
    if (got < 0) {
        free(bytes);
        return err_set(err, ERR_PERMANENT, "\"%.40s\" is no base64", text), NULL;
    }
    struct berval *value = MEM_NEW(struct berval);
    value->bv_val = (char *)bytes;
    value->bv_len = (size_t)got - padding;
    return value;
}

/* An empty value is one that came to nothing, not one somebody wants. */
static struct berval *one_value(const json_t *value, struct err *err)
{
    const char *utf16 = json_string_at(value, "utf16");
    const char *base64 = json_string_at(value, "base64");
    if (json_is_boolean(value)) {
        const char *text = json_is_true(value) ? "TRUE" : "FALSE"; /* RFC 4517, 3.3.3 */
        return new_value(text, strlen(text));
    }
    if (json_is_integer(value)) {
        char *text = json_text(value);
        struct berval *made = new_value(text, strlen(text));
        free(text);
        return made;
    }
    if (json_is_string(value) && json_string_length(value)) {
        return new_value(json_string_value(value), json_string_length(value));
    }
    if (json_object_size(value) == 1 && utf16 && *utf16) {
        return utf16_value(utf16);
    }
    if (json_object_size(value) == 1 && base64 && *base64) {
        return base64_value(base64, err);
    }
    err_set(err, ERR_PERMANENT,
            "a value is a text that is not empty, a whole number, true, false, {utf16: …} or {base64: …}");
    return NULL;
}

struct berval **ldap_values(const json_t *value, struct err *err)
{
    size_t count = json_is_array(value) ? json_array_size(value) : !json_is_null(value);
    struct berval **values = mem_alloc((count + 1) * sizeof(struct berval *));
    for (size_t i = 0; i < count; i++) {
        values[i] = one_value(json_is_array(value) ? json_array_get(value, i) : value, err);
        if (!values[i]) {
            ldap_values_free(values);
            return NULL;
        }
    }
    return values;
}

void ldap_values_free(struct berval **values)
{
    for (size_t i = 0; values && values[i]; i++) {
        explicit_bzero(values[i]->bv_val, values[i]->bv_len);
        free(values[i]->bv_val);
        free(values[i]);
    }
    free(values);
}

/* ---- values that are read ---------------------------------------------------------------------------------------- */

static json_t *hex_text(const struct berval *value)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < value->bv_len; i++) {
        buf_addf(&out, "%02x", (unsigned char)value->bv_val[i]);
    }
    json_t *text = json_string(buf_text(&out));
    buf_release(&out);
    return text;
}

json_t *ldap_value_read(const struct berval *value, bool hex)
{
    if (hex) {
        return hex_text(value);
    }
    json_t *text = memchr(value->bv_val, 0, value->bv_len) ? NULL : json_stringn(value->bv_val, value->bv_len);
    if (!text) {
        unsigned char *coded = mem_alloc(4 * ((value->bv_len + 2) / 3) + 1);
        EVP_EncodeBlock(coded, (const unsigned char *)value->bv_val, (int)value->bv_len);
        text = json_string((const char *)coded);
        free(coded);
    }
    return text;
}

const char *ldap_name_wanted(const char *name, const json_t *wanted)
{
    size_t i;
    json_t *one;
    json_array_foreach(wanted, i, one)
    {
        const char *text = json_string_value(one);
        if (text && strcasecmp(text, name) == 0) {
            return text;
        }
    }
    return name;
}

bool ldap_name_partial(const char *name)
{
    const char *range = strcasestr(name, ";range=");
    return range && name[strlen(name) - 1] != '*';
}

/* ---- result codes ------------------------------------------------------------------------------------------------ */

enum ldap_meaning ldap_meaning(int code)
{
    switch (code) {
    case LDAP_SUCCESS:
        return LDAP_MEANS_DONE;
    case LDAP_TIMELIMIT_EXCEEDED:
    case LDAP_BUSY:
    case LDAP_UNAVAILABLE:
        return LDAP_MEANS_LATER;
    case LDAP_STRONG_AUTH_NOT_SUPPORTED:
    case LDAP_STRONG_AUTH_REQUIRED:
    case LDAP_CONFIDENTIALITY_REQUIRED:
    case LDAP_INAPPROPRIATE_AUTH:
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_INSUFFICIENT_ACCESS:
        return LDAP_MEANS_DENIED;
    default:
        return LDAP_MEANS_REFUSED;
    }
}
