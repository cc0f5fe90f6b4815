/* worker/ldap_text.h: names, filters and values of a directory. What is escaped is one value to libldap, the same that went in; a value
 * that is written and read is the same. */
/* links: worker/ldap_text.c */
#include <openssl/evp.h>

#include "tests/fuzz/fuzz.h"
#include "worker/ldap_text.h"

/* libldap sees one level with one attribute, and the value. */
static void check_dn(const char *value)
{
    struct buf name = BUF_INIT;
    char *rdn, *parent;
    LDAPDN dn = NULL;
    buf_adds(&name, "cn=");
    ldap_dn_escape(&name, value);
    buf_adds(&name, ",dc=example");
    ldap_dn_split(buf_text(&name), &rdn, &parent);
    FUZZ_CHECK(strcmp(parent, "dc=example") == 0);
    json_t *utf8 = *value ? json_string(value) : NULL;
    if (utf8) {
        FUZZ_CHECK(ldap_str2dn(buf_text(&name), &dn, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS);
        FUZZ_CHECK(dn[0] && dn[1] && !dn[2] && dn[0][0] && !dn[0][1]);
        FUZZ_CHECK(dn[0][0]->la_value.bv_len == strlen(value));
        FUZZ_CHECK(memcmp(dn[0][0]->la_value.bv_val, value, strlen(value)) == 0);
        ldap_dnfree(dn);
    }
    json_decref(utf8);
    free(rdn);
    free(parent);
    buf_release(&name);
}

/* Nothing that means something in a filter is left, and unescaped it is the same. */
static void check_filter(const char *value)
{
    struct buf escaped = BUF_INIT, plain = BUF_INIT;
    ldap_filter_escape(&escaped, value);
    FUZZ_CHECK(!strpbrk(buf_text(&escaped), "*()"));
    for (const char *at = buf_text(&escaped); *at; at++) {
        char digits[3] = {at[0] == '\\' ? at[1] : '0', at[0] == '\\' ? at[2] : '0', '\0'};
        char c = at[0] == '\\' ? (char)strtol(digits, NULL, 16) : *at;
        at += at[0] == '\\' ? 2 : 0;
        buf_add(&plain, &c, 1);
    }
    FUZZ_CHECK(strcmp(buf_text(&plain), value) == 0);
    char *url = ldap_url("ldap://localhost", value, "sub", buf_text(&escaped));
    FUZZ_CHECK(!strpbrk(url, " \"<>\\^`{|}") && strspn(url, "ldap:/") == strlen("ldap://") + strspn(url + 7, "ldap:/"));
    free(url);
    buf_release(&plain);
    buf_release(&escaped);
}

/* What is taken for base64 is what it would be written as. */
static void check_base64(const char *text)
{
    json_t *coded = json_pack("{s:s}", "base64", text);
    struct berval **values = coded ? ldap_values(coded, NULL) : NULL;
    if (values) {
        char *again = mem_alloc(4 * ((values[0]->bv_len + 2) / 3) + 1);
        EVP_EncodeBlock((unsigned char *)again, (const unsigned char *)values[0]->bv_val, (int)values[0]->bv_len);
        FUZZ_CHECK(strlen(again) == strlen(text));
        free(again);
    }
    ldap_values_free(values);
    json_decref(coded);
}

static void check_values(const uint8_t *data, size_t size, const char *text)
{
    struct berval value = {size, (char *)(uintptr_t)data};
    json_t *hex = ldap_value_read(&value, true), *read = ldap_value_read(&value, false);
    FUZZ_CHECK(json_string_length(hex) == 2 * size && json_is_string(read));
    json_t *tree = json_parse(text, strlen(text), NULL);
    json_t *coded = json_pack("{s:O}", "base64", read); /* it is that, or no value */
    struct berval **plain = ldap_values(read, NULL), **decoded = ldap_values(coded, NULL),
                  **any = ldap_values(tree, NULL);
    bool kept = plain && plain[0] && plain[0]->bv_len == size && memcmp(plain[0]->bv_val, data, size) == 0;
    FUZZ_CHECK(!size || kept || (decoded && decoded[0]->bv_len == size && memcmp(decoded[0]->bv_val, data, size) == 0));
    ldap_name_partial(text);
    FUZZ_CHECK(ldap_name_wanted(text, tree));
    ldap_values_free(plain), ldap_values_free(decoded), ldap_values_free(any);
    json_decref(hex), json_decref(read), json_decref(coded), json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_text(&input), *bytes = fuzz_bytes(&input), *rdn, *parent;
    check_dn(text);
    check_filter(text);
    check_base64(text);
    check_values((const uint8_t *)bytes, size, text);
    ldap_dn_split(text, &rdn, &parent);
    FUZZ_CHECK(strlen(rdn) + strlen(parent) <= strlen(text));
    free(rdn), free(parent), free(bytes), free(text);
    return 0;
}
