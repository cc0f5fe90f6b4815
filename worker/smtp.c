#include "worker/smtp.h"

#include <ctype.h>
#include <string.h>

#include "lib/mem.h"

/* libcurl takes leave with QUIT, and blocks until the answer came: a server that hangs there must not hold up the loop. */
enum { REPLY_MAX = 2000, QUIT_TIMEOUT_S = 2 };

/* A line of a reply: "250-first", "250 last". */
static size_t on_reply(char *data, size_t size, size_t count, void *arg)
{
    struct smtp *smtp = arg;
    size_t len = size * count;
    bool reply = len >= 4 && isdigit((unsigned char)data[0]) && isdigit((unsigned char)data[1]) &&
                 isdigit((unsigned char)data[2]);
    int code = reply ? (data[0] - '0') * 100 + (data[1] - '0') * 10 + (data[2] - '0') : 0;
    if (!reply || code == 221) { /* the answer to QUIT says nothing about the mail */
        return len;
    }
    if (!smtp->continued) {
        buf_clear(&smtp->reply);
    }
    size_t text = len;
    while (text > 4 && (data[text - 1] == '\r' || data[text - 1] == '\n')) {
        text--;
    }
    buf_adds(&smtp->reply, smtp->reply.len ? " " : "");
    buf_add(&smtp->reply, data + 4, text - 4);
    smtp->code = code;
    smtp->continued = data[3] == '-';
    if (code >= 400 || (smtp->asked && code != 354)) {
        curl_easy_setopt(smtp->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)QUIT_TIMEOUT_S);
    }
    smtp->asked = smtp->asked || code == 354;
    return len;
}

static size_t on_send(char *out, size_t size, size_t count, void *arg)
{
    struct smtp *smtp = arg;
    size_t take = strnlen(smtp->unsent, size * count);
    memcpy(out, smtp->unsent, take);
    smtp->unsent += take;
    return take;
}

/* Without a mail: log in, NOOP, and leave. */
static void set_up_check(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "NOOP");
    curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, 2L * QUIT_TIMEOUT_S);
}

void smtp_set_up(CURL *easy, const struct http_call *call, struct smtp *smtp)
{
    const struct http_mail *mail = call->mail;
    smtp->easy = easy;
    smtp->unsent = mail->message;
    smtp->reply.max = REPLY_MAX;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)(mail->tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, smtp);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT,
                     1L); /* a kept one may be dead: mails are rare, and must not get lost */
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    if (!mail->message) {
        set_up_check(easy);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, mail->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, mail->recipients);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)strlen(mail->message));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_READDATA, smtp);
}

void smtp_take(struct smtp *smtp, CURLcode code, struct http_answer *answer)
{
    answer->sent = smtp->asked;
    if (code == CURLE_OK || smtp->code >= 400) {
        answer->status = smtp->code;
        buf_adds(&answer->body, buf_text(&smtp->reply));
    } else if (code == CURLE_USE_SSL_FAILED) {
        answer->error = mem_strdup("the server offers no STARTTLS: set `tls: off` only where mail may go in the clear");
    }
}

void smtp_release(struct smtp *smtp)
{
    buf_release(&smtp->reply);
}
