/* Requests that bring HR events: media types, CloudEvents in every mode, plain JSON; what is no event is said to be none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cloudevent.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/submission.h"
#include "tests/unit/helpers.h"

/* A request with headers as "name", "value", …, NULL. json_decref() of its headers. */
static struct request request_of(const char *const *headers, const char *body)
{
    json_t *all = json_object();
    for (; headers[0]; headers += 2) {
        request_add_header(all, headers[0], headers[1]);
    }
    return (struct request){"POST", all, body, strlen(body)};
}

static void request_free(struct request *request)
{
    json_decref((json_t *)(uintptr_t)request->headers);
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static void test_headers(void **state)
{
    (void)state;
    struct request request = request_of((const char *const[]){"X-One", "a", "x-one", "b", "X-Two", "c", NULL}, "");
    assert_string_equal(request_header(&request, "X-ONE"), "a, b");
    assert_string_equal(request_header(&request, "x-two"), "c");
    assert_null(request_header(&request, "x-three"));
    request_free(&request);
    json_t *headers = json_object();
    assert_false(request_add_header(headers, "X-Bytes", "\xff"));
    assert_null(json_object_get(headers, "x-bytes"));
    json_decref(headers);
}

static void test_media_types(void **state)
{
    (void)state;
    static const char *const json[] = {"application/json",
                                       "Application/JSON; charset=utf-8",
                                       "application/vnd.example.leaver+json",
                                       "text/json",
                                       "application/cloudevents+json;charset=UTF-8",
                                       "application/problem+JSON"};
    static const char *const other[] = {"",
                                        "json",
                                        "/json",
                                        "+json",
                                        "text/plain",
                                        "application/jsonp",
                                        "application/json2",
                                        "application/xml+json2",
                                        "application/cloudevents+avro"};
    for (size_t i = 0; i < COUNT_OF(json); i++) {
        assert_true(request_type_is_json(json[i]));
    }
    for (size_t i = 3; i < COUNT_OF(other); i++) {
        assert_false(request_type_is_json(other[i]));
    }
    struct request request = request_of((const char *const[]){"Content-Type", "Text/Plain ; x=y", NULL}, "");
    assert_true(request_is_type(&request, "text/plain"));
    assert_false(request_is_type(&request, "text/plai"));
    assert_false(request_is_json(&request));
    request_free(&request);
}

/* ---- binary mode: HTTP protocol binding 1.0.2, 3.1.3.2 ------------------------------------------------------------- */

static void test_encoded_headers(void **state)
{
    (void)state;
    static const struct {
        const char *value, *attribute; /* NULL: refused */
    } cases[] = {
        {"plain", "plain"},
        {"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600"}, /* the binding's own example */
        {"M%c3%bcller%2017", "M\u00fcller 17"},
        {"100%25", "100%"},
        {"%2525", "%25"}, /* one round only */
        {"50%", "50%"},
        {"%4", "%4"},
        {"%zz", "%zz"},
        {"\"a b\"", "a b"},
        {"\"say \\\"hi\\\" %41\"", "say \"hi\" A"},
        {"a \"b c\" d", "a b c d"},
        {"\"", "\""},
        {"5\" disk", "5\" disk"},
        {"\"\\", "\"\\"},
        {"\u00fc", "\u00fc"}, /* what is not encoded stands for itself */
        {"%ff", NULL},
        {"a%00b", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct request request = request_of((const char *const[]){"ce-id", cases[i].value, NULL}, "");
        struct err err = ERR_INIT;
        json_t *data = json_object(), *event = cloudevent_from_headers(&request, data, &err);
        if (cases[i].attribute) {
            assert_non_null(event);
            assert_string_equal(json_string_at(event, "id"), cases[i].attribute);
        } else {
            assert_null(event);
            assert_contains(err_text(&err), "id: the header ce-id must hold UTF-8 without NUL, percent-encoded");
        }
        err_release(&err);
        json_decref(event);
        json_decref(data);
        request_free(&request);
    }
}

static void test_which_headers_are_attributes(void **state)
{
    (void)state;
    struct request request = request_of(
        (const char *const[]){"CE-Id", "1", "ce-source", "/hr", "ce-tenant42", "x", "ce-data", "no", "ce-data_base64",
                              "no", "ce-datacontenttype", "no", "ce-", "no", "ce-a-b", "no", "X-ce-x", "no", NULL},
        "");
    json_t *data = json_pack("{s:i}", "a", 1), *event = cloudevent_from_headers(&request, data, NULL);
    char *text = json_canonical(event);
    assert_string_equal(text, "{\"data\":{\"a\":1},\"id\":\"1\",\"source\":\"/hr\",\"tenant42\":\"x\"}");
    free(text);
    json_decref(event);
    json_decref(data);
    request_free(&request);
}

/* ---- data_base64: JSON format 3.1 ---------------------------------------------------------------------------------- */

static void test_data_base64(void **state)
{
    (void)state;
    static const struct {
        const char *event, *data, *why;
    } cases[] = {
        {"{\"data_base64\": \"eyJhIjoxfQ==\"}", "{\"a\":1}", NULL},
        {"{\"data_base64\": \"eyJhIjoxfQ\", \"datacontenttype\": \"application/x+json\"}", "{\"a\":1}", NULL},
        {"{\"data_base64\": null, \"data\": {\"b\": 2}}", "{\"b\":2}", NULL},
        {"{\"data\": {\"b\": 2}}", "{\"b\":2}", NULL},
        {"{\"data_base64\": \"eyJhIjoxfQ==\", \"data\": {}}", NULL, "data must be given once"},
        {"{\"data_base64\": \"eyJhIjoxfQ==\", \"datacontenttype\": \"text/plain\"}", NULL,
         "datacontenttype must be JSON (application/json), not text/plain"},
        {"{\"data_base64\": \"not base64!\"}", NULL, "data_base64 is no base64"},
        {"{\"data_base64\": 7}", NULL, "data_base64 is no base64"},
        {"{\"data_base64\": \"eyJh\"}", NULL, "data_base64: could not read JSON"},
        {"{\"data_base64\": \"\"}", NULL, "data_base64: could not read JSON"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = ERR_INIT;
        json_t *event = json_parse(cases[i].event, strlen(cases[i].event), NULL);
        assert_int_equal(cloudevent_open_data(event, &err), cases[i].data ? 0 : -1);
        if (cases[i].data) {
            char *text = json_text(json_object_get(event, "data"));
            assert_string_equal(text, cases[i].data);
            assert_null(json_object_get(event, "data_base64"));
            free(text);
        } else {
            assert_contains(err_text(&err), cases[i].why ? cases[i].why : "");
        }
        err_release(&err);
        json_decref(event);
    }
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

#define ATTRIBUTES                                                                                                     \
    "\"specversion\": \"1.0\", \"id\": \"M\u00fcller 17\", \"source\": \"/hr\", \"type\": \"leaver.created\""
#define DATA "{\"user\": {\"email\": \"jane@x.example\"}}"

/* The same event by every mode is the same offboarding. */
static void test_every_mode_gives_the_same_event(void **state)
{
    (void)state;
    static const struct {
        const char *headers[11];
        const char *body;
        bool batch;
    } cases[] = {
        {{"Content-Type", "application/cloudevents+json; charset=utf-8"},
         "{" ATTRIBUTES ", \"data\": " DATA "}",
         false},
        {{"Content-Type", "application/cloudevents+json"},
         "\xef\xbb\xbf{" ATTRIBUTES ", \"data_base64\": \"eyJ1c2VyIjogeyJlbWFpbCI6ICJqYW5lQHguZXhhbXBsZSJ9fQ==\"}",
         false},
        {{"Content-Type", "application/cloudevents-batch+json"}, "[{" ATTRIBUTES ", \"data\": " DATA "}]", true},
        {{"Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "M%C3%BCller%2017", "ce-source",
          "%2Fhr", "ce-type", "leaver.created"},
         DATA,
         false},
        {{"Content-Type", "application/vnd.hr.leaver+json", "ce-specversion", "1.0", "ce-id", "\"M\u00fcller 17\"",
          "ce-source", "/hr", "ce-type", "\"leaver.created\""},
         DATA,
         false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct request request = request_of(cases[i].headers, cases[i].body);
        struct err err = ERR_INIT;
        bool batch = !cases[i].batch;
        int status;
        json_t *events = submission_events(&request, "hr", &batch, &status, &err);
        if (!events) {
            fail_msg("%zu: %s", i, err_text(&err));
        }
        json_t *event = json_array_get(events, 0);
        assert_int_equal(batch, cases[i].batch);
        assert_int_equal(json_array_size(events), 1);
        assert_int_equal(submission_check(event, &err), 0);
        char *text = json_canonical(event);
        assert_string_equal(
            text, "{\"data\":{\"user\":{\"email\":\"jane@x.example\"}},\"id\":\"M\u00fcller 17\",\"source\":\"/hr\","
                  "\"specversion\":\"1.0\",\"type\":\"leaver.created\"}");
        free(text);
        json_decref(events);
        request_free(&request);
    }
}

static void test_plain_json(void **state)
{
    (void)state;
    static const struct {
        const char *headers[5];
        const char *body, *id, *why;
    } cases[] = {
        {{"Content-Type", "application/json"}, "{\"id\": \"7\", \"user\": {}}", "7", NULL},
        {{"Content-Type", "application/json", "Idempotency-Key", "k"}, "{\"user\": {}}", "k", NULL},
        {{"Content-Type", "application/json"},
         "{\"user\": {}}",
         NULL,
         "id is missing: give `id` in the body or the header Idempotency-Key"},
        {{"Content-Type", "application/json"}, "{\"id\": 7}", NULL, "id must be a text"},
        {{"Content-Type", "application/json"}, "{\"id\": \"7\", \"type\": 1}", NULL, "type must be a text"},
        {{"Content-Type", "application/json"}, "[]", NULL, "the body must be a JSON object"},
        {{"Content-Type", "application/json"}, "", NULL, "could not read JSON"},
        {{"Content-Type", "application/cloudevents-batch+json"}, "{}", NULL, "a batch is a JSON array of at most 1000"},
        {{"Content-Type", "text/plain"}, "{}", NULL, "send application/json"},
        {{"Content-Type", "application/json", "Content-Encoding", "gzip"},
         "\x1f\x8b",
         NULL,
         "Content-Encoding: send the body as it is, not as gzip"},
        {{"Content-Type", "application/json", "Content-Encoding", "Identity"}, "{\"id\": \"7\"}", "7", NULL},
        {{"Content-Type", "application/json"},
         "{\"specversion\": \"1.0\", \"id\": \"7\"}",
         NULL,
         "send this CloudEvent as application/cloudevents+json"},
        {{"Content-Type", "application/json"},
         "[{\"specversion\": \"1.0\"}]",
         NULL,
         "send these CloudEvents as application/cloudevents-batch+json"},
        {{NULL}, "{}", NULL, "send application/json"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct request request = request_of(cases[i].headers, cases[i].body);
        struct err err = ERR_INIT;
        bool batch;
        int status = 0;
        json_t *events = submission_events(&request, "hr", &batch, &status, &err);
        if (cases[i].id) {
            assert_string_equal(json_string_at(events, "0.id"), cases[i].id);
            assert_string_equal(json_string_at(events, "0.source"), "/offboard/edge/hr");
            assert_string_equal(json_string_at(events, "0.type"), "leaver.created");
        } else {
            assert_null(events);
            assert_contains(err_text(&err), cases[i].why);
            assert_int_equal(status, strstr(cases[i].why, "send") ? 415 : 400);
        }
        err_release(&err);
        json_decref(events);
        request_free(&request);
    }
}

/* What our own messages carry must lie below the depth that they are read with. */
static void test_depth(void **state)
{
    (void)state;
    for (int levels = 31; levels <= 34; levels++) {
        json_t *data = json_object();
        for (int i = 0; i < levels; i++) {
            data = json_pack("{s:o}", "a", data);
        }
        json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0", "id", "1", "source", "/x", "type",
                                  "t", "data", data);
        struct err err = ERR_INIT;
        assert_int_equal(submission_check(event, &err), levels <= 32 ? 0 : -1);
        assert_true(levels <= 32 || strstr(err_text(&err), "data is nested deeper than 32 levels"));
        err_release(&err);
        json_decref(event);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),         cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_encoded_headers), cmocka_unit_test(test_which_headers_are_attributes),
        cmocka_unit_test(test_data_base64),     cmocka_unit_test(test_every_mode_gives_the_same_event),
        cmocka_unit_test(test_plain_json),      cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
