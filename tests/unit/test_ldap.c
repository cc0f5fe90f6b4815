/* LDAP: the dialogue, its faults, and that a directory which hangs delays nobody else. */
/* links: worker/await.c worker/fiber.c worker/gzip.c worker/http.c worker/ldap_call.c worker/ldap_connect.c */
/* links: worker/ldap_text.c worker/multi.c tests/unit/tcp_stub.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"
#include "tests/unit/tcp_stub.h"
#include "worker/fiber.h"
#include "worker/ldap_call.h"

/* Tags of requests; an answer has the next one, but a search's (RFC 4511, 4.2 and following). */
enum { BIND = 0x60, UNBIND = 0x42, SEARCH = 0x63, MODIFY = 0x66, EXTENDED = 0x77, TLS = 0x16 };

/* What a directory does when a request of this kind comes; otherwise it agrees. */
struct habit {
    int tag;
    enum { AGREES, HANGS, HANGS_UP, REFUSES, SAYS, FLOODS, REFERS } what;
    int code;          /* of a refusal */
    const char *words; /* what it says, byte by byte; the URL that it refers to */
    size_t len;
};

struct call;

struct directory {
    struct tcp_stub *stub;
    struct habit habit;
    struct call *aborted;     /* when a request with the habit's tag comes */
    int changes;              /* requests to change something */
    struct tcp_peer *flooded; /* who gets entries without end */
    int flooded_id;
    uv_idle_t flood;
};

struct stage {
    uv_loop_t loop;
    struct http *http;
    struct directory directory;
    size_t under_way, finished;
};

/* One call. */
struct call {
    struct stage *stage;
    char *url;
    struct ldap_call call;
    struct ldap_operation operation;
    struct http_answer answer;
    struct flight *flight;
    bool done;
    size_t rank; /* the first that ended has 1 */
};

/* ---- the directory ----------------------------------------------------------------------------------------------- */

/* The length of the BER element at the beginning, with its head; 0: it is not complete. */
static size_t element(const struct buf *heard, size_t *head)
{
    const unsigned char *data = (const unsigned char *)heard->data;
    if (heard->len < 2) {
        return 0;
    }
    size_t more = data[1] & 0x80 ? data[1] & 0x7f : 0, len = more ? 0 : data[1];
    for (size_t i = 0; i < more && i + 2 < heard->len; i++) {
        len = len << 8 | data[2 + i];
    }
    *head = 2 + more;
    return heard->len >= *head + len ? *head + len : 0;
}

static void say_result(struct tcp_peer *peer, int id, int tag, int code)
{
    char bytes[] = {0x30, 12, 2, 1, (char)id, (char)tag, 7, 10, 1, (char)code, 4, 0, 4, 0};
    tcp_peer_say(peer, bytes, sizeof bytes);
}

static void say_entry(struct tcp_peer *peer, int id)
{
    static const char entry[] = "\x64\x18\x04\x04"
                                "cn=a\x30\x10\x30\x0e\x04\x04"
                                "mail\x31\x06\x04\x04"
                                "a@bc";
    char head[] = {0x30, (char)(3 + sizeof entry - 1), 2, 1, (char)id};
    tcp_peer_say(peer, head, sizeof head);
    tcp_peer_say(peer, entry, sizeof entry - 1);
}

static void say_reference(struct tcp_peer *peer, int id, const char *url)
{
    char len = (char)strlen(url);
    char head[] = {0x30, (char)(len + 7), 2, 1, (char)id, 0x73, (char)(len + 2), 4, len};
    tcp_peer_say(peer, head, sizeof head);
    tcp_peer_say(peer, url, strlen(url));
}

/* Entries as fast as the other side takes them. */
static void flood(uv_idle_t *idle)
{
    const struct directory *directory = idle->data;
    size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&directory->flooded->tcp);
    for (int i = 0; i < 100 && queued < 1024 * 1024; i++) {
        say_entry(directory->flooded, directory->flooded_id);
    }
}

static void answer(struct tcp_peer *peer, struct directory *directory, int id, int tag)
{
    const struct habit *habit = &directory->habit;
    bool special = habit->tag == tag;
    if (special && habit->what == SAYS) {
        tcp_peer_say(peer, habit->words, habit->len);
    } else if (special && habit->what == FLOODS) {
        directory->flooded = peer;
        directory->flooded_id = id;
        directory->flood.data = directory;
        uv_idle_start(&directory->flood, flood);
    } else if (special && habit->what == HANGS_UP) {
        tcp_peer_hang_up(peer);
    } else if (tag != UNBIND && !(special && habit->what == HANGS)) {
        if (special && habit->what == REFERS) {
            say_reference(peer, id, habit->words);
        } else if (tag == SEARCH) {
            say_entry(peer, id);
        }
        say_result(peer, id, tag == SEARCH ? 0x65 : tag + 1, special ? habit->code : 0);
    }
    if (special && directory->aborted) {
        http_abort(directory->aborted->flight);
    }
}

static void hear(struct tcp_peer *peer, void *arg)
{
    struct directory *directory = arg;
    size_t head, len;
    if (peer->heard.len && peer->heard.data[0] == TLS) {
        buf_clear(&peer->heard);
        answer(peer, directory, 0, TLS);
    }
    while ((len = element(&peer->heard, &head)) > 0) {
        int id = peer->heard.data[head + 2], tag = (unsigned char)peer->heard.data[head + 3];
        struct buf rest = {.max = peer->heard.max};
        buf_add(&rest, peer->heard.data + len, peer->heard.len - len);
        buf_release(&peer->heard);
        peer->heard = rest;
        directory->changes += tag == MODIFY;
        answer(peer, directory, id, tag);
    }
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    struct stage *stage = MEM_NEW(struct stage);
    uv_loop_init(&stage->loop);
    stage->http = http_new(&stage->loop);
    stage->directory.stub = tcp_stub_start(&stage->loop, hear, &stage->directory);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    http_free(stage->http);
    tcp_stub_stop(stage->directory.stub);
    while (uv_run(&stage->loop, UV_RUN_DEFAULT)) { /* somebody may have asked it to stop */
    }
    assert_int_equal(uv_loop_close(&stage->loop), 0);
    fibers_release();
    free(stage);
    return 0;
}

static void perform(void *arg)
{
    struct call *call = arg;
    struct stage *stage = call->stage;
    ldap_perform(stage->http, &call->call, &call->flight, &call->answer);
    call->done = true;
    call->rank = ++stage->finished;
    if (--stage->under_way == 0) {
        uv_stop(&stage->loop);
    }
}

/* "mail: value". */
static LDAPMod **changes_to(const char *value)
{
    LDAPMod **changes = mem_alloc(2 * sizeof *changes);
    changes[0] = MEM_NEW(LDAPMod);
    changes[0]->mod_op = LDAP_MOD_REPLACE | LDAP_MOD_BVALUES;
    changes[0]->mod_type = mem_strdup("mail");
    changes[0]->mod_bvalues = mem_alloc(2 * sizeof(struct berval *));
    changes[0]->mod_bvalues[0] = MEM_NEW(struct berval);
    changes[0]->mod_bvalues[0]->bv_val = mem_strdup(value);
    changes[0]->mod_bvalues[0]->bv_len = strlen(value);
    return changes;
}

/* A call with a log-in; `value` NULL: a search, else a change. */
static struct call *call_new(struct stage *stage, char *url, const char *value, int64_t timeout)
{
    struct call *call = MEM_NEW(struct call);
    call->stage = stage;
    call->url = url;
    call->operation.kind = value ? LDAP_OP_MODIFY : LDAP_OP_SEARCH;
    call->operation.dn = mem_strdup("cn=a");
    call->operation.filter = mem_strdup("(cn=a)");
    call->operation.scope = LDAP_SCOPE_BASE;
    call->operation.changes = value ? changes_to(value) : NULL;
    call->call = (struct ldap_call){
        .url = url, .user = "cn=bot", .password = "sesame", .timeout = timeout, .operation = &call->operation};
    return call;
}

static void begin(struct call *call)
{
    call->stage->under_way++;
    fiber_start(perform, call);
}

static void release(struct call *call)
{
    ldap_operation_release(&call->operation);
    http_answer_release(&call->answer);
    free(call->url);
    free(call);
}

static void run(struct call *call)
{
    call->stage->directory.aborted = call->stage->directory.aborted ? call : NULL;
    begin(call);
    while (!call->done) {
        uv_run(&call->stage->loop, UV_RUN_DEFAULT);
    }
    assert_true(call->done);
    assert_null(call->flight);
}

static char *url_of(const struct directory *directory, const char *scheme)
{
    return mem_printf("%s://127.0.0.1:%d", scheme, tcp_stub_port(directory->stub));
}

/* A call to the stage's directory, in the clear. */
static struct call *made(struct stage *stage, const char *value)
{
    struct call *call = call_new(stage, url_of(&stage->directory, "ldap"), value, 20 * TIME_SECOND);
    run(call);
    return call;
}

/* One that wants TLS. */
static struct call *secured(struct stage *stage, bool start_tls)
{
    struct call *call = call_new(stage, url_of(&stage->directory, start_tls ? "ldap" : "ldaps"), "x", 20 * TIME_SECOND);
    call->call.tls = start_tls;
    run(call);
    return call;
}

static void assert_answer(struct call *call, long status, const char *body)
{
    const struct http_answer *answered = &call->answer;
    if (answered->fault || answered->error) {
        fail_msg("fault %d: %s", (int)answered->fault, answered->error);
    }
    assert_int_equal(answered->status, status);
    assert_string_equal(buf_text(&answered->body), body);
    assert_false(answered->aborted);
    release(call);
}

static void assert_fault(struct call *call, enum http_fault fault, bool sent, const char *error)
{
    const struct http_answer *answered = &call->answer;
    if (answered->fault != fault || answered->sent != sent) {
        fail_msg("fault %d, sent %d: %s", (int)answered->fault, answered->sent, answered->error);
    }
    assert_int_equal(answered->status, LDAP_NO_ANSWER);
    assert_contains(answered->error, error);
    release(call);
}

/* ---- the dialogue ------------------------------------------------------------------------------------------------ */

static void test_answers(void **state)
{
    struct stage *stage = *state;
    assert_answer(made(stage, NULL), 0,
                  "[{\"dn\":\"cn=a\",\"rdn\":\"cn=a\",\"parent\":\"\",\"attributes\":{\"mail\":[\"a@bc\"]}}]");
    struct call *call = made(stage, "x");
    assert_true(call->answer.sent);
    assert_answer(call, 0, "");
    assert_int_equal(stage->directory.changes, 1);
}

static void test_refusals(void **state)
{
    struct stage *stage = *state;
    stage->directory.habit = (struct habit){.tag = BIND, .what = REFUSES, .code = 49};
    struct call *call = made(stage, "x");
    assert_false(call->answer.sent);
    assert_answer(call, 49, "{\"message\":\"Invalid credentials\"}");
    stage->directory.habit = (struct habit){.tag = MODIFY, .what = REFUSES, .code = 50};
    assert_answer(made(stage, "x"), 50, "{\"message\":\"Insufficient access\"}");
}

/* More than the sockets hold: it is written in parts. */
static void test_a_large_change(void **state)
{
    struct stage *stage = *state;
    size_t len = 12 * 1024 * 1024;
    char *value = mem_alloc(len + 1);
    memset(value, 'x', len);
    struct call *call = made(stage, value);
    assert_true(call->answer.sent);
    assert_answer(call, 0, "");
    free(value);
}

static void test_lost(void **state)
{
    struct stage *stage = *state;
    stage->directory.habit = (struct habit){.tag = BIND, .what = HANGS_UP};
    assert_fault(made(stage, "x"), HTTP_FAULT_AWAY, false, "Can't contact LDAP server");
    stage->directory.habit = (struct habit){.tag = MODIFY, .what = HANGS_UP};
    assert_fault(made(stage, "x"), HTTP_FAULT_AWAY, true, "Can't contact LDAP server");
}

/* An answer that says it is 2 GiB long: no memory is taken for it. */
static void test_an_endless_answer(void **state)
{
    struct stage *stage = *state;
    static const char words[] = "\x30\x84\x7f\xff\xff\xff\x02\x01\x01";
    stage->directory.habit = (struct habit){.tag = BIND, .what = SAYS, .words = words, .len = sizeof words - 1};
    struct call *call = made(stage, "x");
    assert_true(call->answer.duration < 5 * TIME_SECOND);
    assert_fault(call, HTTP_FAULT_ANSWER, false, "larger than 16 MiB");
}

/* A server that ignores the page control and sends entries without end: the limit holds while they come. */
static void test_an_endless_search(void **state)
{
    struct stage *stage = *state;
    uv_idle_init(&stage->loop, &stage->directory.flood);
    stage->directory.habit = (struct habit){.tag = SEARCH, .what = FLOODS};
    struct call *call = made(stage, NULL);
    uv_close((uv_handle_t *)&stage->directory.flood, NULL);
    assert_true(call->answer.duration < 15 * TIME_SECOND);
    assert_answer(call, 11, "{\"message\":\"more than 20000 entries, or 16 MiB\"}");
}

static struct call *referred(struct stage *stage, const char *url, const char *without)
{
    struct call *call = call_new(stage, url_of(&stage->directory, "ldap"), NULL, 20 * TIME_SECOND);
    stage->directory.habit = (struct habit){.tag = SEARCH, .what = REFERS, .words = url};
    call->operation.without = without ? json_pack("[s]", without) : NULL;
    run(call);
    return call;
}

/* What another server holds was not searched: nobody knows what is there. */
static void test_references(void **state)
{
    struct stage *stage = *state;
    static const char child[] = "ldap://child.example.com/DC=child,DC=example,DC=com";
    static const char dns[] = "ldap://dc/DC=ForestDnsZones,DC=example,DC=com";
    static const char refused[] =
        "{\"message\":\"DC=child,DC=example,DC=com lies on another server and was not searched\"}";
    assert_answer(referred(stage, child, NULL), 10, refused);
    assert_answer(referred(stage, child, "DC=ForestDnsZones"), 10, refused);
    assert_answer(referred(stage, "what?", "DC=child"), 10,
                  "{\"message\":\"what? lies on another server and was not searched\"}");
    assert_answer(referred(stage, dns, "dc=forestdnszones"), 0, "[]");
    assert_answer(referred(stage, child, ""), 10, refused);
    assert_answer(referred(stage, child, "DC=chil"), 10, refused);
}

static void test_addresses(void **state)
{
    struct stage *stage = *state;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    struct call *call =
        call_new(stage, mem_printf("ldaps://127.0.0.1:%d", ntohs(address.sin_port)), NULL, 20 * TIME_SECOND);
    run(call);
    assert_fault(call, HTTP_FAULT_ADDRESS, false, "connect");
    close(fd);
    call =
        call_new(stage, mem_strdup("ldap://a-label-of-more-than-63-letters-is-no-name-that-any-server-would-know.test"),
                 NULL, 20 * TIME_SECOND);
    run(call);
    assert_fault(call, HTTP_FAULT_ADDRESS, false, "resolve host");
    call = call_new(stage, mem_strdup("ldap://127.0.0.1:x"), NULL, 20 * TIME_SECOND);
    run(call);
    assert_fault(call, HTTP_FAULT_REQUEST, false, "is no LDAP URL");
}

static void test_tls(void **state)
{
    struct stage *stage = *state;
    struct directory *directory = &stage->directory;
    static const char words[] = "\x15\x03\x01\x00\x02\x02\x28"; /* a fatal alert: handshake_failure */
    directory->habit = (struct habit){.tag = TLS, .what = SAYS, .words = words, .len = sizeof words - 1};
    assert_fault(secured(stage, false), HTTP_FAULT_ADDRESS, false, "Connect error");
    directory->habit = (struct habit){.tag = TLS, .what = HANGS_UP};
    assert_fault(secured(stage, true), HTTP_FAULT_ADDRESS, false, "Connect error");
    directory->habit = (struct habit){.tag = EXTENDED, .what = REFUSES, .code = 2};
    assert_fault(secured(stage, true), HTTP_FAULT_ADDRESS, false, "no StartTLS (Protocol error): use ldaps:");
    struct call *call = call_new(stage, url_of(directory, "ldaps"), NULL, 20 * TIME_SECOND);
    call->call.ca_file = "/nowhere/ca.pem";
    run(call);
    assert_fault(call, HTTP_FAULT_ADDRESS, false, "could not read the certificates in /nowhere/ca.pem");
    assert_int_equal(directory->changes, 0);
}

static void test_aborted(void **state)
{
    struct stage *stage = *state;
    static const int moments[] = {BIND, MODIFY, EXTENDED, TLS};
    for (size_t i = 0; i < COUNT_OF(moments); i++) {
        struct call *call =
            call_new(stage, url_of(&stage->directory, moments[i] == TLS ? "ldaps" : "ldap"), "x", 3 * TIME_SECOND);
        stage->directory.habit = (struct habit){.tag = moments[i], .what = HANGS};
        stage->directory.aborted = call;
        call->call.tls = moments[i] == EXTENDED;
        run(call);
        assert_true(call->answer.aborted);
        assert_true(call->answer.duration < 5 * TIME_SECOND);
        assert_fault(call, HTTP_FAULT_AWAY, moments[i] == MODIFY, "the worker stops");
    }
}

/* A directory that hangs at whatever moment takes the time of its own calls only. */
static void test_hung_directories_delay_nobody(void **state)
{
    struct stage *stage = *state;
    enum { COUNT = 10 };
    static const int moments[] = {BIND, MODIFY, EXTENDED, TLS};
    for (size_t i = 0; i < COUNT_OF(moments); i++) {
        struct directory other = {.habit = {.tag = moments[i], .what = HANGS}};
        struct call *lost[COUNT];
        stage->finished = 0;
        other.stub = tcp_stub_start(&stage->loop, hear, &other);
        for (int k = 0; k < COUNT; k++) {
            lost[k] = call_new(stage, url_of(&other, moments[i] == TLS ? "ldaps" : "ldap"), "x", 2 * TIME_SECOND);
            lost[k]->call.tls = moments[i] == EXTENDED;
            begin(lost[k]);
        }
        struct call *good = call_new(stage, url_of(&stage->directory, "ldap"), "x", 20 * TIME_SECOND);
        begin(good);
        while (stage->under_way) {
            uv_run(&stage->loop, UV_RUN_DEFAULT);
        }
        assert_int_equal(good->rank, 1);
        assert_answer(good, 0, "");
        for (int k = 0; k < COUNT; k++) {
            assert_true(lost[k]->answer.duration >= 1900 * 1000);
            assert_fault(lost[k], HTTP_FAULT_AWAY, moments[i] == MODIFY, "timed out");
        }
        tcp_stub_stop(other.stub);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_large_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_endless_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_endless_search, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_references, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_aborted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hung_directories_delay_nobody, set_up, tear_down),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
