/* worker/mail.h: a mail made of what a job says. Whatever the fields hold, they stay in their place: no header that nobody asked for, no
 * line that SMTP refuses, only addresses in the envelope. The input is a JSON object, or else a text for every field. */
/* links: worker/mail.c worker/mail_address.c */
#include "lib/time.h"
#include "tests/fuzz/fuzz.h"
#include "worker/mail.h"
#include "worker/mail_internal.h"

/* Names of headers before the body, each in a line of its own. */
static void check_headers(const char *message, const json_t *own)
{
    static const char *const known[] = {
        "From",          "To",         "Cc",           "Reply-To",     "Subject",
        "Date",          "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
        "Auto-Submitted"};
    const char *end = strstr(message, "\r\n\r\n");
    FUZZ_CHECK(end);
    for (const char *line = message; line < end + 2; line = strstr(line, "\r\n") + 2) {
        char *name = mem_strndup(line, strcspn(line, ":"));
        bool right = *line == ' ' || json_object_get(own, name);
        for (size_t i = 0; i < COUNT_OF(known); i++) {
            right = right || strcmp(known[i], name) == 0;
        }
        FUZZ_CHECK(right);
        free(name);
    }
}

static void check_lines(const char *message)
{
    size_t len = 0;
    for (const char *at = message; *at; at++) {
        FUZZ_CHECK((*at == '\r') == (at[1] == '\n')); /* neither stands alone */
        FUZZ_CHECK((unsigned char)*at < 0x80);
        len = *at == '\n' ? 0 : len + 1;
        FUZZ_CHECK(len <= 999); /* with the \r */
    }
    FUZZ_CHECK(*message != '\n' && len == 0);
}

static void build(const json_t *fields)
{
    struct mail mail = {0};
    struct err err = ERR_INIT;
    if (mail_build(fields, "id@example.com", 1700000000 * TIME_SECOND, &mail, &err) == 0) {
        check_headers(mail.message, json_object_get(fields, "headers"));
        check_lines(mail.message);
        FUZZ_CHECK(mail.recipients && mail_is_address(mail.from, strlen(mail.from)));
        for (struct curl_slist *one = mail.recipients; one; one = one->next) {
            FUZZ_CHECK(mail_is_address(one->data, strlen(one->data)) && !strpbrk(one->data, "\r\n <>"));
        }
    } else {
        FUZZ_CHECK(err.class == ERR_PERMANENT);
    }
    err_release(&err);
    mail_release(&mail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_text(&input), *line = fuzz_line(&input);
    json_t *fields = json_parse(text, strlen(text), NULL);
    json_t *all = json_pack("{s:s, s:s, s:s, s:s}", "to", line, "from", "a@example.com", "subject", line, "text", text);
    json_t *rest = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}}", "to", "b@example.com", "from", "Ä <a@example.com>",
                             "subject", line, "text", text, "headers", "X-Own", line);
    build(fields);
    build(all);
    build(rest);
    json_decref(fields), json_decref(all), json_decref(rest);
    free(line);
    free(text);
    return 0;
}
