/* Mail by SMTP: the dialogue, its faults, and that a server which hangs delays nobody else. */
/* links: worker/await.c worker/fiber.c worker/gzip.c worker/http.c worker/multi.c worker/smtp.c tests/unit/tcp_stub.c */
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
#include "tests/unit/helpers.h"
#include "tests/unit/tcp_stub.h"
#include "worker/fiber.h"
#include "worker/smtp.h"

/* What a server says to each command; NULL: its own reply. "": silence. "-": it hangs up. */
struct habits {
    const char *greeting, *ehlo, *auth, *mail, *rcpt, *data, *message, *noop, *quit;
};

struct sending;

struct server {
    struct tcp_stub *stub;
    struct habits habits;
    struct buf commands;  /* all, by lines, without messages */
    struct buf message;   /* the latest, as it came over the wire */
    const char *abort_at; /* when this command comes, `aborted` is */
    struct sending *aborted;
};

struct stage {
    uv_loop_t loop;
    struct http *http;
    struct server server;
    size_t under_way, finished;
    const char *user; /* who logs in; NULL: nobody */
    bool tls;
};

/* One mail. */
struct sending {
    struct stage *stage;
    struct smtp_call call;
    struct http_answer answer;
    struct flight *flight;
    bool done;
    size_t rank; /* the first that ended has 1 */
};

/* ---- the server -------------------------------------------------------------------------------------------------- */

enum { STAGE_NEW, STAGE_COMMANDS, STAGE_MESSAGE };

static void reply(struct tcp_peer *peer, const char *habit, const char *usual)
{
    const char *text = habit ? habit : usual;
    if (strcmp(text, "-") == 0) {
        tcp_peer_hang_up(peer);
    } else {
        tcp_peer_say(peer, text, strlen(text));
    }
}

static void obey(struct tcp_peer *peer, struct server *server, const char *line)
{
    const struct habits *habits = &server->habits;
    const struct {
        const char *verb, *habit, *usual;
    } replies[] = {{"EHLO", habits->ehlo, "250-stub\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n"},
                   {"AUTH", NULL, "334 \r\n"},
                   {"AGJv", habits->auth, "235 welcome\r\n"}, /* base64: log-in and password */
                   {"MAIL", habits->mail, "250 ok\r\n"},
                   {"RCPT", habits->rcpt, "250 ok\r\n"},
                   {"DATA", habits->data, "354 go on\r\n"},
                   {"NOOP", habits->noop, "250 awake\r\n"},
                   {"QUIT", habits->quit, "221 bye\r\n"}};
    buf_addf(&server->commands, "%s\n", line);
    for (size_t i = 0; i < COUNT_OF(replies); i++) {
        if (strncmp(line, replies[i].verb, 4) == 0) {
            peer->stage = i == 5 && !habits->data ? STAGE_MESSAGE : STAGE_COMMANDS;
            reply(peer, replies[i].habit, replies[i].usual);
        }
    }
    if (server->abort_at && strncmp(line, server->abort_at, 4) == 0) {
        http_abort(server->aborted->flight);
    }
}

static void hear(struct tcp_peer *peer, void *arg)
{
    struct server *server = arg;
    if (peer->stage == STAGE_NEW) {
        peer->stage = STAGE_COMMANDS;
        reply(peer, server->habits.greeting, "220 stub\r\n");
    }
    const char *end;
    while ((end = strstr(buf_text(&peer->heard), peer->stage == STAGE_MESSAGE ? "\r\n.\r\n" : "\r\n"))) {
        size_t len = (size_t)(end - peer->heard.data);
        char *part = mem_strndup(peer->heard.data, len);
        struct buf rest = BUF_INIT;
        size_t used = len + (peer->stage == STAGE_MESSAGE ? 5 : 2);
        buf_add(&rest, peer->heard.data + used, peer->heard.len - used);
        buf_release(&peer->heard);
        peer->heard = rest;
        if (peer->stage == STAGE_MESSAGE) {
            peer->stage = STAGE_COMMANDS;
            buf_clear(&server->message);
            buf_adds(&server->message, part);
            reply(peer, server->habits.message, "250 kept\r\n");
        } else {
            obey(peer, server, part);
        }
        free(part);
    }
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    struct stage *stage = MEM_NEW(struct stage);
    uv_loop_init(&stage->loop);
    stage->http = http_new(&stage->loop);
    stage->server.stub = tcp_stub_start(&stage->loop, hear, &stage->server);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    http_free(stage->http);
    tcp_stub_stop(stage->server.stub);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
    fibers_release();
    buf_release(&stage->server.commands);
    buf_release(&stage->server.message);
    free(stage);
    return 0;
}

static void perform(void *arg)
{
    struct sending *sending = arg;
    struct stage *stage = sending->stage;
    smtp_perform(stage->http, &sending->call, &sending->flight, &sending->answer);
    sending->done = true;
    sending->rank = ++stage->finished;
    if (--stage->under_way == 0) {
        uv_stop(&stage->loop);
    }
}

/* Begins a call. */
static struct sending *send_to(struct stage *stage, struct tcp_stub *stub, const char *message, int64_t timeout)
{
    struct sending *sending = MEM_NEW(struct sending);
    sending->stage = stage;
    sending->call = (struct smtp_call){.url = mem_printf("smtp://127.0.0.1:%d", tcp_stub_port(stub)),
                                       .user = stage->user,
                                       .password = "sesame",
                                       .tls = stage->tls,
                                       .timeout = timeout,
                                       .from = "bot@example.com",
                                       .recipients = curl_slist_append(NULL, "ann@example.com"),
                                       .message = message};
    stage->under_way++;
    fiber_start(perform, sending);
    return sending;
}

static void release(struct sending *sending)
{
    curl_slist_free_all(sending->call.recipients);
    free((char *)(uintptr_t)sending->call.url);
    http_answer_release(&sending->answer);
    free(sending);
}

static const char mail[] = "Subject: x\r\n\r\n.\r\nline\r\n..two\r\n";

/* One call to the server, until it has ended. */
static struct sending *sent(struct stage *stage, const char *message)
{
    buf_clear(&stage->server.commands);
    struct sending *sending = send_to(stage, stage->server.stub, message, 20 * TIME_SECOND);
    stage->server.aborted = sending;
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_true(sending->done);
    assert_null(sending->flight);
    return sending;
}

static void assert_answer(struct sending *sending, long status, const char *text)
{
    const struct http_answer *answer = &sending->answer;
    if (answer->fault || answer->error) {
        fail_msg("fault %d: %s", (int)answer->fault, answer->error);
    }
    assert_int_equal(answer->status, status);
    assert_string_equal(buf_text(&answer->body), text);
    assert_false(answer->aborted);
    release(sending);
}

static void assert_fault(struct sending *sending, enum http_fault fault, bool was_sent, const char *error)
{
    const struct http_answer *answer = &sending->answer;
    if (answer->fault != fault || answer->sent != was_sent) {
        fail_msg("fault %d, sent %d: %s", (int)answer->fault, answer->sent, answer->error);
    }
    assert_int_equal(answer->status, 0);
    assert_contains(answer->error, error);
    release(sending);
}

/* ---- the dialogue ------------------------------------------------------------------------------------------------ */

static void test_a_mail(void **state)
{
    struct stage *stage = *state;
    struct sending *sending = sent(stage, mail);
    assert_true(sending->answer.sent);
    assert_answer(sending, 250, "kept");
    assert_contains(buf_text(&stage->server.commands),
                    "\nMAIL FROM:<bot@example.com>\nRCPT TO:<ann@example.com>\nDATA\nQUIT\n");
    assert_string_equal(buf_text(&stage->server.message), "Subject: x\r\n\r\n..\r\nline\r\n...two");
    assert_answer(sent(stage, "no end of line"), 250, "kept");
    assert_string_equal(buf_text(&stage->server.message), "no end of line");
}

static void test_a_long_mail(void **state)
{
    struct stage *stage = *state;
    size_t len = 12 * 1024 * 1024;
    char *message = mem_alloc(len + 1);
    memset(message, '.', len);
    for (size_t i = 0; i + 1 < len; i += 78) {
        memcpy(message + i, "\r\n", 2);
    }
    stage->server.message.max = 2 * len;
    assert_answer(sent(stage, message), 250, "kept");
    assert_int_equal(stage->server.message.len, len + len / 78 + 1);
    free(message);
}

static void test_check(void **state)
{
    struct stage *stage = *state;
    assert_answer(sent(stage, NULL), 250, "awake");
    assert_contains(buf_text(&stage->server.commands), "\nNOOP\nQUIT\n");
    stage->server.habits.noop = "502 what?\r\n";
    assert_answer(sent(stage, NULL), 502, "what?");
}

static void test_refusals(void **state)
{
    struct stage *stage = *state;
    struct habits *habits = &stage->server.habits;
    *habits = (struct habits){.rcpt = "550-no such person\r\n550 here\r\n"};
    struct sending *sending = sent(stage, mail);
    assert_false(sending->answer.sent);
    assert_answer(sending, 550, "no such person here");
    assert_contains(buf_text(&stage->server.commands), "RCPT TO:<ann@example.com>\nQUIT\n");
    *habits = (struct habits){.message = "554 spam\r\n"};
    sending = sent(stage, mail);
    assert_true(sending->answer.sent);
    assert_answer(sending, 554, "spam");
    *habits = (struct habits){.greeting = "421 come back later\r\n"};
    assert_answer(sent(stage, mail), 421, "come back later");
    *habits = (struct habits){.mail = "452\r\n"};
    assert_answer(sent(stage, mail), 452, "");
}

/* Consent to a command has a code of its own (RFC 5321, 4.3.2). Any other reply belongs to another command, and proves nothing. */
static void test_replies_that_do_not_fit(void **state)
{
    struct stage *stage = *state;
    static const struct {
        struct habits habits;
        bool asked; /* the server may have the mail */
        const char *said;
    } cases[] = {
        {{.mail = "354 go on\r\n"}, false, "after MAIL FROM the server said 354: go on"},
        {{.rcpt = "334 \r\n"}, false, "after RCPT TO the server said 334"},
        {{.data = "250 ok\r\n"}, false, "after DATA the server said 250: ok"},
        {{.data = "199 what\r\n"}, false, "after DATA the server said 199"},
        {{.message = "354 more\r\n250 ok\r\n"}, true, "after the message the server said 354: more"},
        {{.mail = "250 ok\r\n250 ok\r\n", .message = "550 spam\r\n"}, false, "before RCPT TO"},
        {{.mail = "250 ok\r\n250-half of"}, false, "before RCPT TO"},
        {{.message = "250 kept\r\n", .quit = "550 spam\r\n"}, true, "after QUIT the server said 550: spam"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        stage->server.habits = cases[i].habits;
        assert_fault(sent(stage, mail), HTTP_FAULT_ANSWER, cases[i].asked, cases[i].said);
    }
    stage->server.habits = (struct habits){.noop = "354 go on\r\n"};
    assert_fault(sent(stage, NULL), HTTP_FAULT_ANSWER, false, "after NOOP the server said 354");
    stage->server.habits = (struct habits){.quit = "421 too late\r\n"};
    assert_answer(sent(stage, mail), 250, "kept");
}

/* The lines of a reply have one code (RFC 5321, 4.2.1). Where they have several, no line that refuses is overlooked. */
static void test_a_refusal_within_a_reply(void **state)
{
    struct stage *stage = *state;
    stage->server.habits = (struct habits){.rcpt = "550-no such person\r\n250 fine\r\n"};
    assert_answer(sent(stage, mail), 550, "no such person fine");
    stage->server.habits = (struct habits){.rcpt = "250-fine\r\n550 no\r\n"};
    assert_answer(sent(stage, mail), 550, "fine no");
}

static void test_log_in(void **state)
{
    struct stage *stage = *state;
    struct habits *habits = &stage->server.habits;
    stage->user = "bot";
    assert_answer(sent(stage, mail), 250, "kept");
    assert_contains(buf_text(&stage->server.commands), "\nAUTH PLAIN\nAGJvdABzZXNhbWU=\nMAIL");
    *habits = (struct habits){.auth = "535 5.7.8 no\r\n"};
    assert_answer(sent(stage, mail), 535, "5.7.8 no");
    *habits = (struct habits){.ehlo = "250-stub\r\n250 AUTH X-UNKNOWN\r\n"};
    assert_fault(sent(stage, mail), HTTP_FAULT_ANSWER, false,
                 "the server takes no password: of the ways to log in it offers X-UNKNOWN only");
    stage->user = NULL;
    stage->tls = true;
    assert_fault(sent(stage, mail), HTTP_FAULT_ADDRESS, false, "offers no STARTTLS");
}

static void test_faults(void **state)
{
    struct stage *stage = *state;
    struct habits *habits = &stage->server.habits;
    *habits = (struct habits){.message = "-"};
    assert_fault(sent(stage, mail), HTTP_FAULT_AWAY, true, "closed");
    *habits = (struct habits){.rcpt = "-"};
    assert_fault(sent(stage, mail), HTTP_FAULT_AWAY, false, "closed");
    *habits = (struct habits){.greeting = "-"};
    assert_fault(sent(stage, mail), HTTP_FAULT_AWAY, false, "");
}

static void test_a_hung_end_is_no_fault(void **state)
{
    struct stage *stage = *state;
    stage->server.habits.quit = "";
    struct sending *sending = sent(stage, mail);
    assert_true(sending->answer.duration >= TIME_SECOND && sending->answer.duration < 10 * TIME_SECOND);
    assert_answer(sending, 250, "kept");
}

static void test_aborted(void **state)
{
    struct stage *stage = *state;
    static const struct {
        const char *command;
        struct habits habits;
    } moments[] = {{"EHLO", {.ehlo = ""}}, {"RCPT", {.rcpt = ""}}, {"DATA", {.data = ""}}};
    for (size_t i = 0; i < COUNT_OF(moments); i++) {
        stage->server.habits = moments[i].habits;
        stage->server.abort_at = moments[i].command;
        struct sending *sending = sent(stage, mail);
        assert_true(sending->answer.aborted);
        assert_true(sending->answer.duration < 5 * TIME_SECOND);
        assert_fault(sending, HTTP_FAULT_AWAY, false, "the worker stops");
    }
}

/* A server that hangs at whatever moment takes the time of its own calls only. */
static void test_hung_servers_delay_nobody(void **state)
{
    struct stage *stage = *state;
    enum { COUNT = 10 };
    static const struct habits hung[] = {{.greeting = ""}, {.ehlo = ""}, {.mail = ""}, {.data = ""}, {.message = ""}};
    for (size_t i = 0; i < COUNT_OF(hung); i++) {
        struct server other = {.habits = hung[i]};
        struct sending *lost[COUNT];
        stage->finished = 0;
        other.stub = tcp_stub_start(&stage->loop, hear, &other);
        for (int k = 0; k < COUNT; k++) {
            lost[k] = send_to(stage, other.stub, mail, 2 * TIME_SECOND);
        }
        struct sending *good = send_to(stage, stage->server.stub, mail, 20 * TIME_SECOND);
        uv_run(&stage->loop, UV_RUN_DEFAULT);
        assert_int_equal(good->rank, 1);
        assert_answer(good, 250, "kept");
        for (int k = 0; k < COUNT; k++) {
            assert_true(lost[k]->answer.duration >= 1900 * 1000);
            assert_fault(lost[k], HTTP_FAULT_AWAY, hung[i].message != NULL, "");
        }
        tcp_stub_stop(other.stub);
        buf_release(&other.commands);
        buf_release(&other.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_mail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_mail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replies_that_do_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_refusal_within_a_reply, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hung_end_is_no_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_aborted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hung_servers_delay_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
