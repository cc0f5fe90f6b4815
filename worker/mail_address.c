/* Texts and addresses as a mail's header carries them. */
#include "worker/mail_internal.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"

enum { WORD_BYTES = 36 }; /* they make an encoded word of 60 characters; RFC 2047, 2: the line has at most 76 */

bool mail_has_control(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

void mail_add_base64(struct buf *out, const char *data, size_t len)
{
    unsigned char line[4 * (MAIL_BASE64_BYTES / 3) + 1];
    EVP_EncodeBlock(line, (const unsigned char *)data, (int)len);
    buf_adds(out, (const char *)line);
}

/* As many bytes, at most `most`, as end with a whole character of UTF-8. */
static size_t whole_characters(const char *text, size_t most)
{
    size_t len = strnlen(text, most);
    while (text[len] && len && ((unsigned char)text[len] & 0xc0) == 0x80) {
        len--;
    }
    return len ? len : strnlen(text, most);
}

void mail_add_encoded(struct buf *out, const char *text)
{
    for (const char *at = text; *at;) {
        size_t len = whole_characters(at, WORD_BYTES);
        buf_adds(out, at == text ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
        mail_add_base64(out, at, len);
        buf_adds(out, "?=");
        at += len;
    }
}

void mail_add_phrase(struct buf *out, const char *text)
{
    if (text_is_ascii(text) && !strstr(text, "=?") && strlen(text) <= MAIL_LINE_WANTED - strlen("Subject: ")) {
        buf_adds(out, text);
    } else {
        mail_add_encoded(out, text);
    }
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

bool mail_is_address(const char *text, size_t len)
{
    const char *at = memchr(text, '@', len);
    if (!at || at == text || at == text + len - 1 || len > 320) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>[]:;\\,\"", c) || (c == '@' && text + i != at)) {
            return false;
        }
    }
    return true;
}

/* The bare address of "Ann <ann@example.com>" or "ann@example.com"; `*name` is the length of the name before it. NULL when
 * there is none; the caller frees. */
static char *bare_address(const char *text, size_t *name)
{
    size_t len = strlen(text);
    const char *open = strrchr(text, '<');
    *name = 0;
    if (open && text[len - 1] == '>') {
        const char *address = open + 1;
        size_t length = (size_t)(text + len - 1 - address);
        *name = (size_t)(open - text);
        while (*name && text[*name - 1] == ' ') {
            --*name;
        }
        return mail_is_address(address, length) ? mem_strndup(address, length) : NULL;
    }
    return mail_is_address(text, len) ? mem_strndup(text, len) : NULL;
}

/* A name as a quoted string, or encoded, and the space after it. */
static void add_name(struct buf *out, const char *text, size_t len)
{
    bool quoted = len >= 2 && text[0] == '"' && text[len - 1] == '"';
    char *name = quoted ? mem_strndup(text + 1, len - 2) : mem_strndup(text, len);
    if (!text_is_ascii(name) || strlen(name) > MAIL_LINE_WANTED / 2) {
        mail_add_encoded(out, name);
        buf_adds(out, "\r\n ");
    } else {
        buf_adds(out, "\"");
        for (const char *at = name; *at; at++) {
            buf_addf(out, strchr("\"\\", *at) ? "\\%c" : "%c", *at);
        }
        buf_adds(out, "\" ");
    }
    free(name);
}

char *mail_add_address(struct buf *out, const char *field, const json_t *value, struct err *err)
{
    const char *text = json_string_value(value);
    size_t name = 0;
    char *address = text && !mail_has_control(text) ? bare_address(text, &name) : NULL;
    if (!address) {
        char *shown = json_text(value);
        err_set(err, ERR_PERMANENT, "mail.%s: %s is no e-mail address (several of them are a list)", field, shown);
        free(shown);
        return NULL;
    }
    if (name) {
        add_name(out, text, name);
        buf_addf(out, "<%s>", address);
    } else {
        buf_adds(out, address);
    }
    return address;
}

int mail_add_addresses(struct buf *out, const char *title, const char *field, const json_t *value,
                       struct curl_slist **recipients, struct err *err)
{
    json_t *list =
        json_is_array(value) ? json_incref((json_t *)(uintptr_t)value) : json_pack("[O]", (json_t *)(uintptr_t)value);
    struct buf header = BUF_INIT;
    int result = 0;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        buf_adds(&header, i ? ",\r\n " : "");
        char *address = mail_add_address(&header, field, item, err);
        if (!address) {
            result = -1;
            break;
        }
        if (recipients) {
            *recipients = curl_slist_append(*recipients, address);
        }
        free(address);
    }
    if (result == 0 && title && header.len) {
        buf_addf(out, "%s: %s\r\n", title, buf_text(&header));
    }
    buf_release(&header);
    json_decref(list);
    return result;
}
