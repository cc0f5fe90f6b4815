/* What is written to a directory and read from one: nothing a person is called can change what a request means. */
/* links: worker/ldap_text.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/ldap_text.h"

static const struct {
    const char *value;
    const char *in_filter;
    const char *in_name;
} escapes[] = {
    {"jane@example.com", "jane@example.com", "jane@example.com"},
    {"Jörg Müller", "Jörg Müller", "Jörg Müller"},
    {"*", "\\2a", "*"},
    {"x)(uid=*", "x\\29\\28uid=\\2a", "x)(uid\\=*"},
    {"Doe, Jane", "Doe, Jane", "Doe\\, Jane"},
    {"a\\b", "a\\5cb", "a\\\\b"},
    {" edge ", " edge ", "\\ edge\\ "},
    {" ", " ", "\\ "},
    {"#1", "#1", "\\#1"},
    {"a#1", "a#1", "a#1"},
    {"a+b;c<d>e\"f=g", "a+b;c<d>e\"f=g", "a\\+b\\;c\\<d\\>e\\\"f\\=g"},
    {"two\nlines", "two\nlines", "two\\0alines"},
};

static void test_escaping(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(escapes); i++) {
        struct buf filter = BUF_INIT, name = BUF_INIT;
        ldap_filter_escape(&filter, escapes[i].value);
        ldap_dn_escape(&name, escapes[i].value);
        assert_string_equal(buf_text(&filter), escapes[i].in_filter);
        assert_string_equal(buf_text(&name), escapes[i].in_name);
        buf_release(&filter);
        buf_release(&name);
    }
}

static const struct {
    const char *dn;
    const char *rdn;
    const char *parent;
} names[] = {
    {"CN=Jane,OU=People,DC=example", "CN=Jane", "OU=People,DC=example"},
    {"CN=Doe\\, Jane,OU=People", "CN=Doe\\, Jane", "OU=People"},
    {"CN=a\\\\,OU=b", "CN=a\\\\", "OU=b"},
    {"CN=\"Doe, Jane\", OU=People", "CN=\"Doe, Jane\"", "OU=People"},
    {"DC=example", "DC=example", ""},
    {"CN=cut\\", "CN=cut\\", ""},
    {"", "", ""},
};

static void test_the_levels_of_a_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *rdn, *parent;
        ldap_dn_split(names[i].dn, &rdn, &parent);
        assert_string_equal(rdn, names[i].rdn);
        assert_string_equal(parent, names[i].parent);
        free(rdn);
        free(parent);
    }
}

static void test_what_the_record_shows(void **state)
{
    (void)state;
    char *url = ldap_url("ldaps://dc.example.com/", "CN=Jane Doe,DC=example", "sub", "(&(a=b)(mail=j@x))");
    assert_string_equal(url, "ldaps://dc.example.com/CN=Jane%20Doe,DC=example??sub?(&(a=b)(mail=j@x))");
    free(url);
    url = ldap_url("ldap://dc", "<GUID=0a>", NULL, NULL);
    assert_string_equal(url, "ldap://dc/%3CGUID=0a%3E");
    free(url);
}

/* Values as JSON, and the bytes of each as hex digits, one after another. */
static const struct {
    const char *json;
    const char *hex;
} values[] = {
    {"\"abc\"", "616263"},
    {"514", "353134"},
    {"true", "54525545"},
    {"false", "46414c5345"},
    {"null", ""},
    {"[]", ""},
    {"[\"a\", 1]", "61,31"},
    {"{\"utf16\": \"\\\"aä€😀\\\"\"}", "22006100e400ac203dd800de2200"},
    {"{\"base64\": \"AP8=\"}", "00ff"},
    {"{\"base64\": \"AA==\"}", "00"},
};

static void test_values_that_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        json_t *json = json_parse(values[i].json, strlen(values[i].json), NULL);
        struct err err = ERR_INIT;
        struct berval **made = ldap_values(json, &err);
        assert_non_null(made);
        struct buf hex = BUF_INIT;
        for (size_t n = 0; made[n]; n++) {
            json_t *one = ldap_value_read(made[n], true);
            buf_addf(&hex, "%s%s", n ? "," : "", json_string_value(one));
            json_decref(one);
        }
        assert_string_equal(buf_text(&hex), values[i].hex);
        buf_release(&hex);
        ldap_values_free(made);
        json_decref(json);
    }
}

static void test_values_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\"\"",
                                        "[\"a\", \"\"]",
                                        "[null]",
                                        "{\"utf16\": \"\"}",
                                        "{\"utf16\": \"a\", \"b\": 1}",
                                        "1.5",
                                        "{}",
                                        "[[]]",
                                        "{\"base64\": \"A\"}",
                                        "{\"base64\": \"====\"}",
                                        "{\"base64\": \"AA==\\n\\n\\n\\n\"}"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        json_t *json = json_parse(wrong[i], strlen(wrong[i]), NULL);
        struct err err = ERR_INIT;
        assert_non_null(json);
        if (ldap_values(json, &err)) {
            fail_msg("%s is a value", wrong[i]);
        }
        assert_int_equal(err.class, ERR_PERMANENT);
        err_release(&err);
        json_decref(json);
    }
}

static void test_values_that_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool hex;
        const char *text;
    } read[] = {
        {"J\xc3\xb6rg", 5, false, "Jörg"}, {"\xff\x00", 2, false, "/wA="},
        {"a\0b", 3, false, "YQBi"},        {"", 0, false, ""},
        {"\x01\xab", 2, true, "01ab"},     {"ab", 2, true, "6162"},
    };
    for (size_t i = 0; i < COUNT_OF(read); i++) {
        struct berval value = {read[i].len, (char *)(uintptr_t)read[i].bytes};
        json_t *text = ldap_value_read(&value, read[i].hex);
        assert_string_equal(json_string_value(text), read[i].text);
        json_decref(text);
    }
}

static void test_names_of_attributes(void **state)
{
    (void)state;
    json_t *wanted = json_pack("[s,s]", "userAccountControl", "mail");
    assert_string_equal(ldap_name_wanted("useraccountcontrol", wanted), "userAccountControl");
    assert_string_equal(ldap_name_wanted("cn", wanted), "cn");
    assert_string_equal(ldap_name_wanted("cn", NULL), "cn");
    json_decref(wanted);
    assert_true(ldap_name_partial("member;range=0-1499"));
    assert_false(ldap_name_partial("member;range=1500-*"));
    assert_false(ldap_name_partial("member"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_the_levels_of_a_name),
        cmocka_unit_test(test_what_the_record_shows),
        cmocka_unit_test(test_values_that_are_written),
        cmocka_unit_test(test_values_that_are_none),
        cmocka_unit_test(test_values_that_are_read),
        cmocka_unit_test(test_names_of_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
