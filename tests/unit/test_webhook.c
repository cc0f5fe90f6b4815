/* What a request to a source's address means: its events one by one, challenges, and the answer. */
#include "tests/unit/definitions.h"

#include "lib/mapping.h"
#include "lib/time.h"
#include "lib/webhook.h"

static const char hook[] = "source: hook\n"
                           "settings: {key: {secret: true}}\n"
                           "token: {header: X-T, key: key}\n"
                           "challenge: {if: \"${ .body.hello != null }\", answer: {hello: \"${ .body.hello }\"}}\n"
                           "events: \"${ .body.list }\"\n"
                           "event: {id: \"${ .data.id }\", type: \"${ .data.type // \\\"gone\\\" }\"}\n"
                           "types: {gone: start}\n"
                           "criteria: {staff: \"${ .data.kind != \\\"guest\\\" }\"}\n"
                           "map: {user: {email: \"${ .data.email }\"}, runbook: scim-leaver}\n"
                           "answer:\n"
                           "  status: 200\n"
                           "  body: {said: \"${ .outcome } ${ .data.id }\"}\n"
                           "  refused: {status: 203, body: {said: \"${ .why }\"}}\n"
                           "  unavailable: {status: 599, body: {said: \"later, ${ .data.id }\"}}\n";
static const char signed_by_jwt[] =
    "source: jwt\n"
    "settings: {aud: {}}\n"
    "jwt: {keys: \"https://keys.example.com/jwks\", claims: {aud: \"${ .settings.aud }\"}}\n"
    "event: {id: \"${ .body.jti }\", type: gone}\n"
    "types: {gone: start}\n"
    "map: {user: {email: \"${ .data.email }\"}, runbook: scim-leaver}\n";

struct tried {
    json_t *headers;
    struct request request;
    struct webhook webhook;
    struct webhook_reading reading;
    struct err err;
    int refused;
};

/* `coding` NULL: the body is as it is. */
static struct tried *try_coded(struct fixture *fixture, const char *source, const char *type, const char *coding,
                               const char *body)
{
    struct tried *tried = MEM_NEW(struct tried);
    tried->headers = json_object();
    request_add_header(tried->headers, "Content-Type", type);
    request_add_header(tried->headers, "X-T", "secret");
    request_add_header(tried->headers, "Content-Encoding", coding ? coding : "identity");
    tried->request = (struct request){"POST", tried->headers, body, strlen(body)};
    tried->webhook = (struct webhook){.definitions = fixture->definitions,
                                      .conf = fixture->conf,
                                      .source = definition_find(fixture->definitions, DEFINITION_SOURCE, source),
                                      .request = &tried->request};
    tried->refused = webhook_read(&tried->webhook, &tried->reading, &tried->err);
    return tried;
}

static struct tried *try(struct fixture *fixture, const char *source, const char *type, const char *body)
{
    return try_coded(fixture, source, type, NULL, body);
}

static void tried_free(struct tried *tried)
{
    webhook_reading_release(&tried->reading);
    webhook_release(&tried->webhook);
    json_decref(tried->headers);
    err_release(&tried->err);
    free(tried);
}

static void prepare(struct fixture *fixture)
{
    put(fixture, "sources/hook.yaml", hook);
    put(fixture, "sources/jwt.yaml", signed_by_jwt);
    load(fixture);
    assert_count(fixture, 0);
}

/* The answer as "status body", and in `*people` the keys of the records that are published. */
static char *answer(struct tried *tried, char **people)
{
    struct buf keys = BUF_INIT;
    json_t *results = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(tried->reading.items, i, item)
    {
        char *person = NULL;
        json_array_append_new(results, webhook_foresee(&tried->webhook, item, time_now(), &person));
        buf_addf(&keys, "%s ", person ? person : "-");
        free(person);
    }
    struct webhook_reply reply;
    webhook_answer(&tried->webhook, tried->reading.items, results, &reply);
    json_object_del(json_at(reply.body, "results.0"), "id");
    char *body = json_text(reply.body), *away = reply.unavailable ? json_text(reply.unavailable) : NULL;
    char *text = mem_printf("%d %s, else %d %s", reply.status, body, reply.unavailable_status, away ? away : "");
    free(body);
    free(away);
    webhook_reply_release(&reply);
    json_decref(results);
    *people = buf_take(&keys);
    return text;
}

static void test_events_one_by_one(void **state)
{
    struct fixture *fixture = *state;
    prepare(fixture);
    static const struct {
        const char *body, *people, *answer;
    } cases[] = {
        {"{\"list\": [{\"id\": \"1\", \"email\": \"A@x.example\"}, {\"id\": 2, \"email\": \"b@x.example\"}]}",
         "a@x.example b@x.example ", "200 {\"said\":\"accepted 1\"}, else 599 {\"said\":\"later, 1\"}"},
        {"{\"list\": [{\"id\": \"1\", \"email\": \"a@x.example\"}, {\"id\": \"2\", \"email\": \"nobody\"}]}",
         "a@x.example 2 ",
         "203 {\"said\":\"user.email: \\\"nobody\\\" is no e-mail address\"}, else 599 {\"said\":\"later, 2\"}"},
        {"{\"list\": [{\"id\": \"1\", \"email\": \"a@x.example\", \"kind\": \"guest\"}]}", "a@x.example ",
         "200 {\"said\":\"ignored 1\"}, else 599 {\"said\":\"later, 1\"}"},
        {"{\"list\": []}", "", "200 {\"results\":[]}, else 599 "},
        /* One that is no event loses none of the others, and the whole is no success. */
        {"{\"list\": [{\"id\": \"1\", \"email\": \"a@x.example\"}, {\"email\": \"b@x.example\"}]}", "a@x.example - ",
         "422 {\"results\":[{\"event\":\"1\",\"outcome\":\"accepted\"},{\"outcome\":\"unreadable\",\"why\":\"event.id: "
         "it must be a text or "
         "a whole number\"}]}, else 599 {\"said\":\"later, 1\"}"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tried *tried = try(fixture, "hook", "application/vnd.x+json", cases[i].body);
        assert_int_equal(tried->refused, 0);
        char *people, *text = answer(tried, &people);
        assert_string_equal(people, cases[i].people);
        assert_string_equal(text, cases[i].answer);
        free(text);
        free(people);
        tried_free(tried);
    }
}

static void test_the_whole_is_refused(void **state)
{
    struct fixture *fixture = *state;
    prepare(fixture);
    static const struct {
        const char *source, *type, *body;
        int status;
        const char *why;
    } cases[] = {
        {"hook", "application/json", "{\"list\": [{}, {\"id\": []}]}", 422,
         "event.id: it must be a text or a whole number"},
        {"hook", "application/json", "{\"list\": 7}", 422, "events: it must be a list of at most 1000"},
        {"hook", "application/json", "{", 400, "could not read JSON"},
        {"hook", "text/plain", "{}", 415, "send application/json, CloudEvents or application/x-www-form-urlencoded"},
        {"cloudevents", "application/json", "{}", 422, "it must be a CloudEvent"},
        {"cloudevents", "application/cloudevents+json", "[]", 422, "a CloudEvent is a JSON object"},
        {"cloudevents", "application/cloudevents-batch+json", "{}", 422, "body: it must be a list"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tried *tried = try(fixture, cases[i].source, cases[i].type, cases[i].body);
        assert_int_equal(tried->refused, cases[i].status);
        assert_non_null(strstr(err_text(&tried->err), cases[i].why));
        assert_null(tried->reading.items);
        tried_free(tried);
    }
}

static void test_a_coded_body(void **state)
{
    struct fixture *fixture = *state;
    prepare(fixture);
    struct tried *tried = try_coded(fixture, "hook", "application/json", "gzip", "\x1f\x8b");
    assert_int_equal(tried->refused, 415);
    assert_string_equal(err_text(&tried->err), "Content-Encoding: send the body as it is, not as gzip");
    tried_free(tried);
}

/* Only we say whose sender it was, and who asked. */
static void test_attributes_that_are_ours(void **state)
{
    struct fixture *fixture = *state;
    prepare(fixture);
    struct tried *tried =
        try(fixture, "cloudevents", "application/cloudevents+json",
            "{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"/x\", \"type\": \"leaver.created\", \"data\": {},"
            " \"offboardactor\": \"root\", \"offboardsource\": \"hook\"}");
    const json_t *event = json_at(tried->reading.items, "0.event");
    assert_string_equal(json_string_at(event, MAPPING_SOURCE), "cloudevents");
    assert_null(json_object_get(event, "offboardactor"));
    tried_free(tried);
}

static void test_challenges(void **state)
{
    struct fixture *fixture = *state;
    prepare(fixture);
    struct tried *tried = try(fixture, "hook", "application/x-www-form-urlencoded", "hello=w%C3%B6rld");
    assert_int_equal(tried->refused, 0);
    assert_string_equal(json_string_at(tried->reading.challenge, "hello"), "w\u00f6rld");
    assert_null(tried->reading.items);
    tried_free(tried);
}

/* Without what its claims must say, a source lets nobody in, whatever the token says. */
static void test_a_token_without_its_settings(void **state)
{
    struct fixture *fixture = *state;
    prepare(fixture);
    struct tried *tried = try(fixture, "jwt", "application/jwt", "e30.e30.e30");
    assert_int_equal(tried->refused, 415); /* nobody verified it: its body is no token yet */
    struct webhook_ring ring = {NULL, NULL, NULL};
    struct err err = ERR_INIT;
    assert_int_equal(webhook_verify(&tried->webhook, &ring, time_now(), &err), SIGNATURE_CLOSED);
    assert_non_null(strstr(err_text(&err), "jwt: nothing says what \"aud\" must be"));
    assert_null(webhook_key_address(&tried->webhook));
    err_release(&err);
    tried_free(tried);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, definitions_setup, definitions_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_events_one_by_one), TEST(test_the_whole_is_refused),
                                       TEST(test_a_coded_body),      TEST(test_attributes_that_are_ours),
                                       TEST(test_challenges),        TEST(test_a_token_without_its_settings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
