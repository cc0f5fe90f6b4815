/* What a mail looks like on its way, and what is never let into one. */
/* links: worker/mail.c worker/mail_address.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/mail.h"

/* 2026-11-23T05:04:18Z */
#define NOW (INT64_C(1795410258) * TIME_SECOND)

/* The plain mail with JSON laid over it. */
static int build(const char *changes, struct mail *mail, struct err *err)
{
    json_t *fields = json_pack("{s:s, s:s, s:s, s:s}", "from", "bot@example.com", "to", "ann@example.com", "subject",
                               "Hello", "text", "One line");
    json_t *laid = json_parse(changes, strlen(changes), NULL);
    assert_non_null(laid);
    json_object_update(fields, laid);
    json_decref(laid);
    int result = mail_build(fields, "job-1@offboard", NOW, mail, err);
    json_decref(fields);
    return result;
}

#define BEGIN "From: bot@example.com\r\nTo: ann@example.com\r\n"
#define DATE  "Date: Mon, 23 Nov 2026 05:04:18 +0000\r\n"
#define ID    "Message-ID: <job-1@offboard>\r\n"
#define AUTO  "Auto-Submitted: auto-generated\r\n"
#define MIME  "MIME-Version: 1.0\r\n"
#define PLAIN "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"

static void test_the_whole_message(void **state)
{
    (void)state;
    struct mail mail;
    struct err err = ERR_INIT;
    assert_int_equal(build("{}", &mail, &err), 0);
    assert_string_equal(mail.message, BEGIN "Subject: Hello\r\n" DATE ID AUTO MIME PLAIN "One line\r\n");
    assert_string_equal(mail.from, "bot@example.com");
    assert_string_equal(mail.recipients->data, "ann@example.com");
    assert_null(mail.recipients->next);
    mail_release(&mail);
}

static void test_recipients(void **state)
{
    (void)state;
    struct mail mail;
    struct err err = ERR_INIT;
    assert_int_equal(
        build("{\"from\": \"The Bot <bot@example.com>\", \"to\": [\"a@example.com\", \"B \\\"Q\\\" <b@example.com>\"],"
              " \"cc\": \"c@example.com\", \"bcc\": [\"d@example.com\"], \"reply_to\": \"e@example.com\"}",
              &mail, &err),
        0);
    static const char *const wanted[] = {"a@example.com", "b@example.com", "c@example.com", "d@example.com"};
    struct curl_slist *at = mail.recipients;
    for (size_t i = 0; i < COUNT_OF(wanted); i++, at = at->next) {
        assert_string_equal(at->data, wanted[i]);
    }
    assert_null(at);
    assert_string_equal(mail.from, "bot@example.com");
    assert_non_null(strstr(mail.message, "From: \"The Bot\" <bot@example.com>\r\n"
                                         "To: a@example.com,\r\n \"B \\\"Q\\\"\" <b@example.com>\r\n"
                                         "Cc: c@example.com\r\nReply-To: e@example.com\r\n"));
    assert_null(strstr(mail.message, "d@example.com")); /* bcc */
    mail_release(&mail);
}

/* Part of the message that a change makes. */
static const struct {
    const char *changes;
    const char *part;
} parts[] = {
    {"{\"subject\": \"Grüße\"}", "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"},
    {"{\"subject\": \"=?UTF-8?Q?x?=\"}", "Subject: =?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?=\r\n"},
    /* 13 of three bytes each: a word ends with a whole character */
    {"{\"subject\": \"€€€€€€€€€€€€€\"}",
     "Subject: =?UTF-8?B?4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs?=\r\n =?UTF-8?B?4oKs?=\r\n"},
    {"{\"subject\": \"x€€€€€€€€€€€€\"}", "rOKCrA==?=\r\n =?UTF-8?B?4oKs?=\r\n"},
    {"{\"to\": \"Jürgen <ann@example.com>\"}", "To: =?UTF-8?B?SsO8cmdlbg==?=\r\n <ann@example.com>\r\n"},
    {"{\"to\": \"\\\"Doe, Jane\\\" <ann@example.com>\"}", "To: \"Doe, Jane\" <ann@example.com>\r\n"},
    {"{\"to\": \"Doe, Jane <ann@example.com>\"}", "To: \"Doe, Jane\" <ann@example.com>\r\n"},
    {"{\"to\": \"<ann@example.com>\"}", "To: ann@example.com\r\n"},
    {"{\"message_id\": \"<x@y>\"}", "Message-ID: <x@y>\r\n"},
    {"{\"message_id\": \"x@y\"}", "Message-ID: <x@y>\r\n"},
    {"{\"message_id\": null}", ID},
    {"{\"headers\": {\"X-Ticket\": \"IT-1\", \"X-None\": null}}", AUTO "X-Ticket: IT-1\r\n" MIME},
    {"{\"headers\": {\"X-Name\": \"ü\"}}", "X-Name: =?UTF-8?B?w7w=?=\r\n"},
    {"{\"text\": \"a\\nb\\r\\nc\\rd\"}", "\r\n\r\na\r\nb\r\nc\r\nd\r\n"},
    {"{\"text\": \".\\n..\"}", "\r\n\r\n.\r\n..\r\n"}, /* libcurl stuffs dots */
    {"{\"text\": \"\"}", "7bit\r\n\r\n\r\n"},
    {"{\"text\": \"Grüße\"}", "Content-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ0K\r\n"},
    {"{\"text\": \"12345678901234567890123456789012345678901234567890123456é\"}",
     "base64\r\n\r\nMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTbD\r\nqQ0K\r\n"},
    {"{\"text\": \"Hi\", \"html\": \"<p>Hi</p>\"}", MIME
     "Content-Type: multipart/alternative; boundary=\"=_offboard\"\r\n\r\n"
     "--=_offboard\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGkNCg==\r\n"
     "--=_offboard\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
     "PHA+SGk8L3A+DQo=\r\n--=_offboard--\r\n"},
};

static void test_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        struct mail mail;
        struct err err = ERR_INIT;
        if (build(parts[i].changes, &mail, &err) != 0) {
            fail_msg("%s: %s", parts[i].changes, err_text(&err));
        }
        if (!strstr(mail.message, parts[i].part)) {
            fail_msg("%s gives\n%s", parts[i].changes, mail.message);
        }
        mail_release(&mail);
    }
}

static const struct {
    const char *changes;
    const char *said;
} faults[] = {
    {"{\"to\": null}", "mail.to is empty"},
    {"{\"to\": []}", "mail.to is empty"},
    {"{\"to\": [null]}", "mail.to: null is no e-mail address"},
    {"{\"to\": \"\"}", "mail.to: \"\" is no e-mail address"},
    {"{\"to\": \"ann\"}", "no e-mail address"},
    {"{\"to\": \"ann@\"}", "no e-mail address"},
    {"{\"to\": \"@example.com\"}", "no e-mail address"},
    {"{\"to\": \"a@b@example.com\"}", "no e-mail address"},
    {"{\"to\": \"ann@example.com, bob@example.com\"}", "several of them are a list"},
    {"{\"to\": \"Ann <ann@example.com> x\"}", "no e-mail address"},
    {"{\"to\": \"jürgen@example.com\"}", "no e-mail address"},
    {"{\"to\": \"ann@example.com>\\r\\nRCPT TO:<eve@example.com\"}", "no e-mail address"},
    {"{\"to\": \"Ann\\r\\nBcc: eve@example.com <ann@example.com>\"}", "no e-mail address"},
    {"{\"to\": [\"ann@example.com\", 7]}", "mail.to: 7 is no e-mail address"},
    {"{\"cc\": \"x\"}", "mail.cc: \"x\" is no e-mail address"},
    {"{\"bcc\": \"x\"}", "mail.bcc: \"x\" is no e-mail address"},
    {"{\"reply_to\": \"x\"}", "mail.reply_to: \"x\" is no e-mail address"},
    {"{\"from\": null}", "mail.from: null is no e-mail address"},
    {"{\"subject\": \"Hello\\r\\nBcc: eve@example.com\"}", "mail.subject holds a line break"},
    {"{\"subject\": \"Hello\\nBcc: eve@example.com\"}", "mail.subject holds a line break"},
    {"{\"subject\": \"Hello\\rBcc: eve@example.com\"}", "mail.subject holds a line break"},
    {"{\"subject\": null}", "mail.subject is no text"},
    {"{\"message_id\": \"<x@y>\\r\\nBcc: eve@example.com\"}", "mail.message_id holds a line break"},
    {"{\"message_id\": \"<x y@z>\"}", "mail.message_id"},
    {"{\"text\": null}", "mail.text is no text"},
    {"{\"html\": 1}", "mail.html is no text"},
    {"{\"headers\": {\"X-A\": \"1\\r\\nBcc: eve@example.com\"}}", "X-A: mail.headers holds a line break"},
    {"{\"headers\": {\"X-A: b\\r\\nBcc\": \"eve@example.com\"}}", "can't be set"},
    {"{\"headers\": {\"bcc\": \"eve@example.com\"}}", "\"bcc\" can't be set"},
    {"{\"headers\": {\"Content-Type\": \"text/html\"}}", "\"Content-Type\" can't be set"},
    {"{\"headers\": {\"X-A\": 1}}", "X-A: mail.headers is no text"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct mail mail = {0};
        struct err err = ERR_INIT;
        if (build(faults[i].changes, &mail, &err) == 0) {
            fail_msg("%s was accepted:\n%s", faults[i].changes, mail.message);
        }
        if (err.class != ERR_PERMANENT || !strstr(err_text(&err), faults[i].said)) {
            fail_msg("%s: %s", faults[i].changes, err_text(&err));
        }
        assert_null(mail.message);
        err_release(&err);
    }
}

/* RFC 5322, 2.1.1, for texts that try. */
static void test_no_line_is_too_long(void **state)
{
    (void)state;
    char *text = mem_alloc(5001);
    memset(text, 'x', 5000);
    char *changes =
        mem_printf("{\"subject\": \"%s\", \"text\": \"%s\", \"to\": \"%.200s <ann@example.com>\"}", text, text, text);
    struct mail mail;
    struct err err = ERR_INIT;
    assert_int_equal(build(changes, &mail, &err), 0);
    for (const char *line = mail.message; *line;) {
        const char *end = strstr(line, "\r\n");
        assert_non_null(end);
        assert_in_range(end - line, 0, 78);
        line = end + 2;
    }
    mail_release(&mail);
    free(changes);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_whole_message),
        cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_no_line_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
