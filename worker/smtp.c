#include "worker/smtp.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/fiber.h"

/* A server that hangs at QUIT makes the mail no less delivered. */
enum { REPLY_MAX = 2000, CONNECT_TIMEOUT_MS = 10000, QUIT_TIMEOUT_S = 2, CHECK_TIMEOUT_S = 10 };

/* One dialogue with a server. Until `done` it belongs to the thread, but for `stop`. */
struct smtp {
    struct flight flight; /* first: http_abort() knows no more */
    atomic_bool stop;
    uv_work_t work;
    struct fiber *fiber;
    bool done;
    CURL *easy;
    CURLcode code;
    const char *unsent; /* what curl has not taken of the message */
    struct buf reply;   /* text of the latest reply */
    int status;         /* its code */
    bool continued;     /* it has more lines */
    bool asked;         /* the server has asked for the message: from here on it may be delivered */
};

/* ---- on the thread ----------------------------------------------------------------------------------------------- */

/* A line of a reply: "250-first", "250 last". */
static size_t on_reply(char *data, size_t size, size_t count, void *arg)
{
    struct smtp *smtp = arg;
    size_t len = size * count;
    bool reply = len >= 4 && isdigit((unsigned char)data[0]) && isdigit((unsigned char)data[1]) &&
                 isdigit((unsigned char)data[2]);
    int status = reply ? (data[0] - '0') * 100 + (data[1] - '0') * 10 + (data[2] - '0') : 0;
    if (!reply || status == 221) { /* the answer to QUIT says nothing about the mail */
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
    smtp->status = status;
    smtp->continued = data[3] == '-';
    if (status >= 400 || (smtp->asked && status != 354)) { /* what follows is QUIT */
        curl_easy_setopt(smtp->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)QUIT_TIMEOUT_S);
    }
    smtp->asked = smtp->asked || status == 354;
    return len;
}

/* libcurl asks about once a second, also while it waits. */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    struct smtp *smtp = arg;
    return atomic_load(&smtp->stop);
}

static void run(uv_work_t *work)
{
    struct smtp *smtp = work->data;
    smtp->code = atomic_load(&smtp->stop) ? CURLE_ABORTED_BY_CALLBACK : curl_easy_perform(smtp->easy);
    curl_easy_cleanup(smtp->easy); /* here: it may wait */
}

/* ---- on the loop ------------------------------------------------------------------------------------------------- */

static void after(uv_work_t *work, int status)
{
    (void)status; /* nobody cancels it */
    struct smtp *smtp = work->data;
    smtp->done = true;
    fiber_resume(smtp->fiber);
}

static void stop(struct flight *flight)
{
    atomic_store(&((struct smtp *)flight)->stop, true);
}

static size_t send_message(char *out, size_t size, size_t count, void *arg)
{
    struct smtp *smtp = arg;
    size_t take = strnlen(smtp->unsent, size * count);
    memcpy(out, smtp->unsent, take);
    smtp->unsent += take;
    return take;
}

static void set_up_mail(CURL *easy, const struct smtp_call *call, struct smtp *smtp)
{
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, call->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, call->recipients);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)strlen(call->message));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_message);
    curl_easy_setopt(easy, CURLOPT_READDATA, smtp);
}

static void set_up_check(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "NOOP");
    curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)CHECK_TIMEOUT_S);
}

static void set_up(CURL *easy, const struct smtp_call *call, struct smtp *smtp, char *error)
{
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)(call->tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(call->timeout / 1000));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, smtp);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, smtp);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    if (call->user) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, call->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, call->password);
    }
    if (call->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
    }
    if (call->message) {
        set_up_mail(easy, call, smtp);
    } else {
        set_up_check(easy);
    }
}

/* No greeting came, or no TLS could be agreed on: no mail gets further. */
static bool unreached(const struct smtp *smtp)
{
    bool no_tls = smtp->code == CURLE_PEER_FAILED_VERIFICATION || smtp->code == CURLE_SSL_CONNECT_ERROR ||
                  smtp->code == CURLE_USE_SSL_FAILED;
    return no_tls || (smtp->code != CURLE_OK && smtp->code != CURLE_ABORTED_BY_CALLBACK && smtp->status == 0);
}

/* The server's last word, when it is one about the mail. */
static void take_answer(const struct smtp *smtp, const char *error, struct http_answer *answer)
{
    answer->sent = smtp->asked;
    answer->aborted = smtp->code == CURLE_ABORTED_BY_CALLBACK;
    if (smtp->code == CURLE_OK || smtp->status >= 400) {
        answer->status = smtp->status;
        buf_adds(&answer->body, buf_text(&smtp->reply));
        return;
    }
    answer->fault = unreached(smtp) ? HTTP_FAULT_ADDRESS : http_fault_of(smtp->code);
    answer->error = mem_strdup(smtp->code == CURLE_USE_SSL_FAILED
                                   ? "the server offers no STARTTLS: set `tls: off` only where mail may go in the clear"
                               : answer->aborted ? "the worker stops before it came"
                               : *error          ? error
                                                 : curl_easy_strerror(smtp->code));
}

void smtp_perform(uv_loop_t *loop, const struct smtp_call *call, struct flight **flight, struct http_answer *answer)
{
    *answer = (struct http_answer){.headers = json_object()};
    struct smtp smtp = {.flight = {stop},
                        .fiber = fiber_self(),
                        .easy = curl_easy_init(),
                        .unsent = call->message,
                        .reply = {.max = REPLY_MAX}};
    char error[CURL_ERROR_SIZE] = "";
    set_up(smtp.easy, call, &smtp, error);
    int64_t begin = time_monotonic();
    smtp.work.data = &smtp;
    *flight = &smtp.flight;
    uv_queue_work(loop, &smtp.work, run, after);
    while (!smtp.done) {
        fiber_wait();
    }
    *flight = NULL;
    answer->duration = time_monotonic() - begin;
    take_answer(&smtp, error, answer);
    buf_release(&smtp.reply);
}
