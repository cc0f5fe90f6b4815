#include "worker/smtp.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/await.h"

/* A server that hangs at QUIT makes the mail no less delivered. */
enum { REPLY_MAX = 2000, LINE_MAX_BYTES = 8192, PIECE = 16 * 1024, LEAVES = 421 };
static const int64_t quit_time = 2 * TIME_SECOND, check_time = 10 * TIME_SECOND;

/* One dialogue with a server. */
struct smtp {
    struct transfer transfer; /* libcurl's part: the connection */
    struct await await;       /* ours */
    const struct smtp_call *call;
    const char *lost;    /* why the dialogue ended without an answer; NULL: it did not */
    char *misfit;        /* which reply is none to the command before it; NULL: all fit */
    struct buf received; /* what was received and not yet read */
    struct buf reply;    /* text of the latest reply */
    int status;          /* its code; 0: none came */
    bool continued;      /* it has more lines */
    bool asked;          /* the server has asked for the message: from here on it may be delivered */
};

/* ---- replies ----------------------------------------------------------------------------------------------------- */

/* A line of a reply: "250-first", "250 last". True: it was the last one. When the lines have different codes, the greatest counts,
 * because it is the one that refuses. */
static bool take_line(struct smtp *smtp, const char *line, size_t len)
{
    if (len < 3 || !isdigit((unsigned char)line[0]) || !isdigit((unsigned char)line[1]) ||
        !isdigit((unsigned char)line[2])) {
        return false;
    }
    int status = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (!smtp->continued) {
        buf_clear(&smtp->reply);
    }
    while (len > 3 && isspace((unsigned char)line[len - 1])) {
        len--;
    }
    buf_adds(&smtp->reply, smtp->reply.len ? " " : "");
    buf_add(&smtp->reply, line + (len > 3 ? 4 : 3), len > 3 ? len - 4 : 0);
    smtp->status = smtp->continued && smtp->status > status ? smtp->status : status;
    smtp->continued = len > 3 && line[3] == '-';
    return !smtp->continued;
}

/* What the server says while libcurl connects. */
static size_t on_line(char *data, size_t size, size_t count, void *arg)
{
    take_line(arg, data, size * count);
    return size * count;
}

/* ---- the dialogue ------------------------------------------------------------------------------------------------ */

static bool lose(struct smtp *smtp, const char *why)
{
    smtp->lost = why;
    return false;
}

static bool lose_by(struct smtp *smtp, CURLcode code)
{
    return lose(smtp, *smtp->transfer.error ? smtp->transfer.error : curl_easy_strerror(code));
}

static bool wait_for(struct smtp *smtp, int events)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(smtp->transfer.easy, CURLINFO_ACTIVESOCKET, &fd);
    switch (await_socket(&smtp->await, fd, events, 0)) {
    case AWAIT_READY:
        return true;
    case AWAIT_TIMEOUT:
        return lose(smtp, "timed out while the server had to answer");
    case AWAIT_ABORTED:
        return lose(smtp, "the worker stops before it came");
    default:
        return lose(smtp, "could not watch the connection");
    }
}

static bool say(struct smtp *smtp, const char *data, size_t len)
{
    while (len) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(smtp->transfer.easy, data, len, &sent);
        if (code == CURLE_AGAIN) {
            if (!wait_for(smtp, UV_WRITABLE)) {
                return false;
            }
        } else if (code != CURLE_OK) {
            return lose_by(smtp, code);
        }
        data += sent;
        len -= sent;
    }
    return true;
}

/* Adds to what was received. */
static bool receive(struct smtp *smtp)
{
    char piece[PIECE];
    size_t len = 0;
    CURLcode code;
    while ((code = curl_easy_recv(smtp->transfer.easy, piece, sizeof piece, &len)) == CURLE_AGAIN) {
        if (!wait_for(smtp, UV_READABLE)) {
            return false;
        }
    }
    if (code != CURLE_OK) {
        return lose_by(smtp, code);
    }
    if (!len) {
        return lose(smtp, "the server closed the connection");
    }
    return buf_add(&smtp->received, piece, len) == 0 || lose(smtp, "the server's reply has no end");
}

/* Takes lines from what was received, until the reply is complete. */
static bool take_reply(struct smtp *smtp)
{
    bool complete = false;
    const char *text = buf_text(&smtp->received), *from = text, *end;
    while (!complete && (end = memchr(from, '\n', smtp->received.len - (size_t)(from - text)))) {
        complete = take_line(smtp, from, (size_t)(end - from));
        from = end + 1;
    }
    struct buf rest = {.max = smtp->received.max};
    buf_add(&rest, from, smtp->received.len - (size_t)(from - text));
    buf_release(&smtp->received);
    smtp->received = rest;
    return complete;
}

/* A reply of the wrong kind may belong to another command, so nobody knows what became of this one. */
static bool misfit(struct smtp *smtp, const char *when, const char *name)
{
    const char *said = buf_text(&smtp->reply);
    free(smtp->misfit);
    smtp->misfit =
        mem_printf("%s %s the server said %d%s%s. No such reply was due, so it is not known which command it answers",
                   when, name, smtp->status, *said ? ": " : "", said);
    return lose(smtp, smtp->misfit);
}

/* False when the server has said something before it was asked. One that goes away may say so (RFC 5321, 3.8). */
static bool silent(struct smtp *smtp, const char *name)
{
    char piece[PIECE];
    size_t len = 0;
    if (!smtp->received.len && curl_easy_recv(smtp->transfer.easy, piece, sizeof piece, &len) == CURLE_OK) {
        buf_add(&smtp->received, piece, len);
    }
    if (!smtp->received.len) {
        return true;
    }
    return (take_reply(smtp) && smtp->status == LEAVES) ? false : misfit(smtp, "before", name);
}

/* Sends a command, which is taken over, and reads the reply. True: the server agrees, by a code whose first digit is `digit`. */
static bool command(struct smtp *smtp, const char *name, int digit, char *line)
{
    bool said = silent(smtp, name) && say(smtp, line, strlen(line));
    free(line);
    smtp->status = said ? 0 : smtp->status;
    while (said && !take_reply(smtp)) {
        said = receive(smtp);
    }
    return said && smtp->status < 400 && (smtp->status / 100 == digit || misfit(smtp, "after", name));
}

/* The message with its end; a dot that begins a line is doubled (RFC 5321, 4.5.2). */
static char *stuffed(const char *message)
{
    struct buf out = {.max = strlen(message) * 2 + 64};
    bool line_begins = true;
    for (const char *at = message; *at; at++) {
        if (line_begins && *at == '.') {
            buf_add(&out, ".", 1);
        }
        buf_add(&out, at, 1);
        line_begins = *at == '\n';
    }
    buf_adds(&out, line_begins ? ".\r\n" : "\r\n.\r\n");
    return buf_take(&out);
}

static bool address_all(struct smtp *smtp)
{
    bool good = command(smtp, "MAIL FROM", 2, mem_printf("MAIL FROM:<%s>\r\n", smtp->call->from));
    for (const struct curl_slist *to = smtp->call->recipients; good && to; to = to->next) {
        good = command(smtp, "RCPT TO", 2, mem_printf("RCPT TO:<%s>\r\n", to->data));
    }
    return good;
}

static void send_mail(struct smtp *smtp)
{
    if (address_all(smtp) && command(smtp, "DATA", 3, mem_strdup("DATA\r\n"))) {
        smtp->asked = true;
        command(smtp, "the message", 2, stuffed(smtp->call->message));
    }
}

/* The answer is known, and stays. Only a refusal is no reply to QUIT: it was meant for the command before. */
static void quit(struct smtp *smtp)
{
    int status = smtp->status;
    char *reply = mem_strdup(buf_text(&smtp->reply));
    int64_t latest = time_monotonic() + quit_time;
    smtp->await.deadline = latest < smtp->await.deadline ? latest : smtp->await.deadline;
    command(smtp, "QUIT", 2, mem_strdup("QUIT\r\n"));
    if (status < 400 && smtp->status >= 400 && smtp->status != LEAVES) {
        misfit(smtp, "after", "QUIT");
    } else {
        smtp->lost = NULL;
        smtp->status = status;
        buf_clear(&smtp->reply);
        buf_adds(&smtp->reply, reply);
    }
    free(reply);
}

static void talk(struct smtp *smtp, uv_loop_t *loop, int64_t deadline, struct flight **flight)
{
    await_begin(&smtp->await, loop, deadline);
    *flight = &smtp->await.flight;
    *smtp->transfer.error = '\0';
    if (smtp->call->message) {
        send_mail(smtp);
    } else {
        command(smtp, "NOOP", 2, mem_strdup("NOOP\r\n"));
    }
    if (!smtp->lost) {
        quit(smtp);
    }
    *flight = NULL;
    await_end(&smtp->await);
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

static void set_up(CURL *easy, const struct smtp_call *call, struct smtp *smtp, int64_t timeout)
{
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)(call->tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout / 1000));
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_line);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, smtp);
    if (call->user) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, call->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, call->password);
    }
    if (call->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
    }
}

/* Why no log-in was tried: most often all ways to log in that the server offers need something else than a password. */
static char *no_way_to_log_in(const struct smtp *smtp)
{
    const char *offered = strcasestr(buf_text(&smtp->reply), "AUTH ");
    return offered ? mem_printf("the server takes no password: of the ways to log in it offers %s only",
                                offered + strlen("AUTH "))
                   : mem_strdup("the server and libcurl found no way to log in");
}

/* Why there is no answer, and whether it may come another time. */
static void take_fault(const struct smtp *smtp, struct http_answer *answer)
{
    CURLcode code = smtp->transfer.code;
    bool password = code == CURLE_LOGIN_DENIED;
    answer->fault = smtp->misfit || password ? HTTP_FAULT_ANSWER : smtp->lost ? HTTP_FAULT_AWAY : http_fault_of(code);
    answer->error =
        password ? no_way_to_log_in(smtp)
                 : mem_strdup(code == CURLE_USE_SSL_FAILED
                                  ? "the server offers no STARTTLS: set `tls: off` only where mail may go in the clear"
                              : smtp->lost ? smtp->lost
                                           : transfer_error(&smtp->transfer));
}

/* The server's last word, when it is one about the mail. */
static void take_answer(const struct smtp *smtp, struct http_answer *answer)
{
    bool connected = smtp->transfer.code == CURLE_OK;
    answer->sent = smtp->asked;
    answer->aborted = connected ? smtp->await.aborted : smtp->transfer.aborted;
    if (connected ? !smtp->lost : smtp->status >= 400) {
        answer->aborted = false;
        answer->status = smtp->status;
        buf_adds(&answer->body, buf_text(&smtp->reply));
    } else {
        take_fault(smtp, answer);
    }
}

void smtp_perform(struct http *http, const struct smtp_call *call, struct flight **flight, struct http_answer *answer)
{
    struct multi *multi = http_multi(http);
    struct smtp smtp = {.call = call, .reply = {.max = REPLY_MAX}, .received = {.max = LINE_MAX_BYTES + PIECE}};
    int64_t begin = time_monotonic();
    int64_t timeout = !call->message && call->timeout > check_time ? check_time : call->timeout;
    *answer = (struct http_answer){.headers = json_object()};
    transfer_begin(&smtp.transfer, multi);
    if (smtp.transfer.easy) {
        set_up(smtp.transfer.easy, call, &smtp, timeout);
    }
    transfer_run(&smtp.transfer, flight);
    if (smtp.transfer.code == CURLE_OK) {
        talk(&smtp, multi_loop(multi), begin + timeout, flight);
    }
    answer->duration = time_monotonic() - begin;
    take_answer(&smtp, answer);
    transfer_end(&smtp.transfer);
    free(smtp.misfit);
    buf_release(&smtp.reply);
    buf_release(&smtp.received);
}
