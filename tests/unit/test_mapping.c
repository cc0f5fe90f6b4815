/* Mapping an HR event by its source file: what an offboarding gets to know, and what is refused or ignored, and why. */
/* links: tests/unit/mock_cluster.c */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "tests/unit/mock_cluster.h"

static const char inventory[] = "source: inventory\n"
                                "types: {com.inventory.leaver: start}\n"
                                "map:\n"
                                "  user: {email: \"${ .data.mail }\"}\n"
                                "  runbook:\n"
                                "    by: \"${ .data.sequence }\"\n"
                                "    of: {\"1\": scim-leaver, two: google-workspace}\n";

static const char workday[] =
    "source: workday\n"
    "types: {com.workday.termination: start, com.workday.rescinded: cancel, com.workday.hire: rehire, "
    "com.workday.change: change}\n"
    "criteria:\n"
    "  employee: \"${ .data.worker.kind == \\\"Employee\\\" }\"\n"
    "  not_ours: \"${ .data.by != \\\"offboard\\\" }\"\n"
    "map:\n"
    "  user:\n"
    "    email: \"${ .data.worker.mail }\"\n"
    "    employee_id: \"${ .data.worker.number }\"\n"
    "    country: \"${ .data.worker.country }\"\n"
    "    manager: {email: \"${ .data.worker.boss }\", name: \"${ .data.worker.bossName }\"}\n"
    "  effective_at: \"${ .data.lastDay }\"\n"
    "  runbook: \"${ if .data.urgent then \\\"scim-leaver\\\" else \\\"scim-leaver\\\" end }\"\n"
    "  priority: \"${ if .data.urgent then \\\"urgent\\\" else \\\"normal\\\" end }\"\n"
    "guarantees: [user.manager]\n";

struct fixture {
    char folder[32];
    struct conf *conf;
    struct definitions *definitions;
    int64_t now;
};

static int setup(void **state)
{
    struct fixture *fixture = MEM_NEW(struct fixture);
    strcpy(fixture->folder, "/tmp/mapping-XXXXXX");
    if (!mkdtemp(fixture->folder)) {
        return -1;
    }
    static const char *const files[][2] = {{"workday", workday}, {"inventory", inventory}};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *path = mem_printf("%s/%s.yaml", fixture->folder, files[i][0]);
        FILE *file = fopen(path, "w");
        fputs(files[i][1], file);
        fclose(file);
        free(path);
    }
    char *sources = mem_printf("OFFBOARD_DEFINITIONS_SOURCES=%s", fixture->folder);
    fixture->conf = conf_of((const char *const[]){sources, "OFFBOARD_CLOCK_ZONE=America/New_York", NULL});
    free(sources);
    struct err err = ERR_INIT;
    fixture->definitions = definitions_load_or_fail(fixture->conf, &(struct definition_use){.sources = true}, &err);
    if (!fixture->definitions) {
        print_error("%s\n", err_text(&err));
        return -1;
    }
    time_parse("2026-11-23T10:00:00Z", &fixture->now, NULL);
    *state = fixture;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    nftw(fixture->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    definitions_free(fixture->definitions);
    conf_free(fixture->conf);
    free(fixture);
    return 0;
}

/* A CloudEvent of this type with this data. */
static json_t *event_of(const char *type, const char *data)
{
    struct err err = ERR_INIT;
    json_t *parsed = json_parse(data, strlen(data), &err);
    if (!parsed) {
        fail_msg("%s: %s", data, err_text(&err));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0", "id", "7", "source", "/hr", "type", type,
                     "time", "2026-11-23T09:59:00Z", "data", parsed);
}

/* The caller releases what was mapped. */
static struct mapped map(struct fixture *fixture, json_t *event)
{
    struct mapped mapped;
    struct err err = ERR_INIT;
    if (mapping_apply(fixture->definitions, fixture->conf, event, NULL, fixture->now, &mapped, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    json_decref(event);
    return mapped;
}

static void assert_text(const json_t *value, const char *path, const char *expected)
{
    const char *got = json_string_at(value, path);
    if (!got || strcmp(got, expected) != 0) {
        fail_msg("%s is \"%s\", not \"%s\"", path, got ? got : "(none)", expected);
    }
}

/* ---- the built-in source ----------------------------------------------------------------------------------------- */

static void test_all_that_an_event_can_say(void **state)
{
    struct mapped mapped = map(
        *state,
        event_of("leaver.created",
                 "{\"user\": {\"email\": \"Jane@X.example\", \"employee_id\": \"E7\", \"emails\": [\"j@x.example\"],"
                 " \"name\": \"Jane\", \"manager\": {\"email\": \"boss@x.example\"}, \"department\": \"R&D\"},"
                 " \"effective_at\": \"2026-12-24T18:00:00+01:00\", \"priority\": \"urgent\", \"mode\": \"dry_run\","
                 " \"ids\": {\"scim\": \"1\", \"jira\": [\"a\", \"b\"], \"none\": [], \"unknown\": null}, \"reason\": "
                 "\"resigned\","
                 " \"requested_by\": \"kim\"}"));
    const json_t *offboarding = mapped.offboarding;
    char id[ID_SIZE];
    id_offboarding("/hr", "7", id);
    assert_int_equal(mapped.intent, INTENT_START);
    assert_null(mapped.ignored_by);
    assert_true(mapped.dated);
    assert_string_equal(mapped.person, "jane@x.example");
    assert_text(offboarding, "id", id);
    assert_text(offboarding, "source", "cloudevents");
    assert_text(offboarding, "runbook", "scim-leaver");
    assert_text(offboarding, "user.email", "Jane@X.example");
    assert_text(offboarding, "user.department", "R&D");
    assert_text(offboarding, "user.manager.email", "boss@x.example");
    assert_text(offboarding, "effective_at", "2026-12-24T17:00:00.000000Z");
    assert_text(offboarding, "received_at", "2026-11-23T10:00:00.000000Z");
    assert_text(offboarding, "zone", "America/New_York");
    assert_text(offboarding, "priority", "urgent");
    assert_text(offboarding, "mode", "dry_run");
    assert_text(offboarding, "reason", "resigned");
    assert_text(offboarding, "actor.kind", "source");
    assert_text(offboarding, "actor.id", "/hr");
    assert_text(offboarding, "actor.name", "kim");
    assert_text(offboarding, "event.time", "2026-11-23T09:59:00.000000Z");
    assert_text(offboarding, "given_ids.scim.0", "1");
    assert_text(offboarding, "given_ids.jira.1", "b");
    assert_null(json_at(offboarding, "given_ids.none")); /* would say that somebody looked */
    assert_null(json_at(offboarding, "given_ids.unknown"));
    assert_null(json_at(offboarding, "status"));
    mapped_release(&mapped);
}

static void test_defaults(void **state)
{
    struct mapped mapped =
        map(*state, event_of("leaver.created", "{\"user\": {\"employee_id\": \"E7\", \"email\": \"\"}}"));
    assert_false(mapped.dated);
    assert_string_equal(mapped.person, "E7");
    assert_text(mapped.offboarding, "effective_at", "2026-11-23T09:59:00.000000Z"); /* the event's own time */
    assert_text(mapped.offboarding, "priority", "normal");
    assert_text(mapped.offboarding, "mode", "live");
    assert_text(mapped.offboarding, "runbook", "scim-leaver");
    assert_int_equal(json_object_size(json_at(mapped.offboarding, "ids")), 0);
    assert_text(mapped.offboarding, "actor.name", "HR");
    mapped_release(&mapped);

    /* A sender's clock that runs ahead delays nobody, and without a time the record's counts. */
    static const char *const times[] = {"2026-11-24T00:00:00Z", NULL};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        json_t *event = event_of("leaver.created", "{\"user\": {\"email\": \"a@x.example\"}}");
        json_object_del(event, "time");
        json_put_string(event, "time", times[i]);
        mapped = map(*state, event);
        assert_text(mapped.offboarding, "effective_at", "2026-11-23T10:00:00.000000Z");
        mapped_release(&mapped);
    }
}

static void test_the_edges_actor(void **state)
{
    json_t *event = event_of("leaver.created", "{\"user\": {\"email\": \"a@x.example\"}}");
    json_put_string(event, "offboardactor", "console");
    struct mapped mapped = map(*state, event);
    assert_text(mapped.offboarding, "actor.kind", "token");
    assert_text(mapped.offboarding, "actor.id", "console");
    mapped_release(&mapped);
}

static void test_intents(void **state)
{
    static const struct {
        const char *type;
        enum intent intent;
    } cases[] = {{"leaver.created", INTENT_START},
                 {"leaver.changed", INTENT_CHANGE},
                 {"leaver.cancelled", INTENT_CANCEL},
                 {"leaver.rehired", INTENT_REHIRE}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct mapped mapped = map(*state, event_of(cases[i].type, "{\"user\": {\"email\": \"a@x.example\"}}"));
        assert_int_equal(mapped.intent, cases[i].intent);
        mapped_release(&mapped);
    }
    /* Who is cancelled needs no runbook that we know. */
    struct mapped mapped =
        map(*state, event_of("leaver.cancelled", "{\"user\": {\"email\": \"a@x.example\"}, \"runbook\": \"gone\"}"));
    assert_int_equal(mapped.intent, INTENT_CANCEL);
    mapped_release(&mapped);
}

/* rules.md 7: a bare date is the end of that day where the leaver is. */
static void test_bare_dates_and_zones(void **state)
{
    static const struct {
        const char *data;
        const char *zone;
        const char *effective_at;
    } cases[] = {
        {"{\"user\": {\"email\": \"a@x.example\"}, \"effective_at\": \"2026-12-31\"}", "America/New_York",
         "2027-01-01T04:59:59.999999Z"},
        {"{\"user\": {\"email\": \"a@x.example\", \"country\": \"FR\"}, \"effective_at\": \"2026-12-31\"}",
         "Europe/Paris", "2026-12-31T22:59:59.999999Z"},
        {"{\"user\": {\"email\": \"a@x.example\", \"country\": \"US\"}, \"effective_at\": \"2026-12-31\"}",
         "America/New_York", "2027-01-01T04:59:59.999999Z"}, /* several zones there: clock.zone */
        {"{\"user\": {\"email\": \"a@x.example\", \"country\": \"FR\"}, \"zone\": \"Asia/Tokyo\", \"effective_at\": "
         "\"2026-12-31\"}",
         "Asia/Tokyo", "2026-12-31T14:59:59.999999Z"},
        {"{\"user\": {\"email\": \"a@x.example\"}, \"zone\": \"Europe/Berlin\", \"effective_at\": \"2026-03-29\"}",
         "Europe/Berlin", "2026-03-29T21:59:59.999999Z"}, /* the day the clocks go forward */
        {"{\"user\": {\"email\": \"a@x.example\", \"country\": \"DE\"}, \"effective_at\": \"2199-12-31\"}",
         "Europe/Berlin", "2199-12-31T22:59:59.999999Z"}, /* two zones, and all clocks show the same */
        {"{\"user\": {\"email\": \"a@x.example\", \"country\": \"Germany\"}, \"effective_at\": \"2199-12-31\"}",
         "Europe/Berlin", "2199-12-31T22:59:59.999999Z"},
        {"{\"user\": {\"email\": \"a@x.example\", \"country\": \"DE\"}}", "Europe/Berlin",
         "2026-11-23T09:59:00.000000Z"},
        {"{\"user\": {\"email\": \"a@x.example\", \"country\": \"DE\"}, \"effective_at\": \"2026-07-18T17:00:00\"}",
         "Europe/Berlin", "2026-07-18T15:00:00.000000Z"},
        {"{\"user\": {\"email\": \"a@x.example\"}, \"zone\": \"Asia/Tokyo\", \"effective_at\": \"2026-12-31T17:00\"}",
         "Asia/Tokyo", "2026-12-31T08:00:00.000000Z"},
        {"{\"user\": {\"email\": \"a@x.example\"}, \"effective_at\": \"2026-12-31T17:00:00\"}", "America/New_York",
         "2026-12-31T22:00:00.000000Z"},
        {"{\"user\": {\"email\": \"a@x.example\"}, \"effective_at\": null, \"zone\": \"\"}", "America/New_York",
         "2026-11-23T09:59:00.000000Z"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct mapped mapped = map(*state, event_of("leaver.created", cases[i].data));
        assert_text(mapped.offboarding, "zone", cases[i].zone);
        assert_text(mapped.offboarding, "effective_at", cases[i].effective_at);
        mapped_release(&mapped);
    }
}

static void test_countries_by_any_name(void **state)
{
    static const struct {
        const char *name;
        const char *code;
    } cases[] = {
        {"US", "US"},
        {"us", "US"},
        {"USA", "US"},
        {"United States", "US"},
        {" united states of america ", "US"},
        {"UK", "GB"},
        {"United Kingdom", "GB"},
        {"Deutschland", "DE"},
        {"ÖSTERREICH", "AT"},
        {"O\xcc\x88sterreich", "AT"}, /* in NFD */
        {"Korea, South", "KR"},
        {"Narnia", "Narnia"}, /* for people to see */
        {"Unit", "Unit"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *data = json_pack("{s:{s:s, s:s}}", "user", "email", "a@x.example", "country", cases[i].name);
        char *text = json_dumps(data, 0);
        struct mapped mapped = map(*state, event_of("leaver.created", text));
        assert_text(mapped.offboarding, "user.country", cases[i].code);
        mapped_release(&mapped);
        free(text);
        json_decref(data);
    }
}

/* rules.md 6: these are never carried, however deep or however written. */
static void test_private_data_stays_out(void **state)
{
    const char *data =
        "{\"user\": {\"email\": \"a@x.example\", \"home_address\": \"Elm St\", \"Phone\": \"1\", \"homePhone\": \"2\","
        " \"birth-date\": \"2000-01-01\", \"nested\": [{\"mobile\": \"3\", \"desk\": \"4\"}],"
        " \"manager\": {\"email\": \"boss@x.example\", \"phone\": \"5\"}, \"empty\": \"\", \"none\": null}}";
    struct mapped mapped = map(*state, event_of("leaver.created", data));
    json_t *expected = json_pack("{s:s, s:[{s:s}], s:{s:s}}", "email", "a@x.example", "nested", "desk", "4", "manager",
                                 "email", "boss@x.example");
    char *got = json_canonical(json_at(mapped.offboarding, "user"));
    char *wanted = json_canonical(expected);
    assert_string_equal(got, wanted);
    free(got);
    free(wanted);
    json_decref(expected);
    mapped_release(&mapped);
    assert_null(mapping_without_private(NULL));
}

/* rules.md 5 */
static void test_a_manager_who_is_the_leaver_is_none(void **state)
{
    struct mapped mapped =
        map(*state, event_of("leaver.created", "{\"user\": {\"email\": \"a@x.example\","
                                               " \"manager\": {\"email\": \"A@X.example\", \"name\": \"A\"}}}"));
    assert_null(json_at(mapped.offboarding, "user.manager"));
    mapped_release(&mapped);
}

static void test_what_is_refused_names_the_field(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *type;
        const char *data;
        const char *named;
    } cases[] = {
        {"leaver.exploded", "{\"user\": {\"email\": \"a@x.example\"}}", "type: no source takes \"leaver.exploded\""},
        {"leaver.created", "{}", "user is missing"},
        {"leaver.created", "{\"user\": \"jane\"}", "user is missing or no object"},
        {"leaver.created", "{\"user\": {\"name\": \"Jane\"}}", "employee_id"},
        {"leaver.created", "{\"user\": {\"email\": \"jane\"}}", "user.email: \"jane\" is no e-mail"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c, d@e.f\"}}", "user.email"},
        {"leaver.created", "{\"user\": {\"email\": \"@b.c\"}}", "user.email"},
        {"leaver.created", "{\"user\": {\"email\": \"mailto:a@b.c\"}}", "it holds \":\""},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c;\"}}", "it holds \";\""},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c.\"}}", "no e-mail address"},
        {"leaver.created", "{\"user\": {\"email\": 7}}", "user.email must be a text"},
        {"leaver.created", "{\"user\": {\"employee_id\": 7}}", "user.employee_id must be a text"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\", \"emails\": \"x@y.z\"}}", "user.emails must be a list"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\", \"emails\": [7]}}", "user.emails"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\", \"manager\": \"boss\"}}", "user.manager"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\", \"manager\": {\"email\": \"boss\"}}}",
         "user.manager.email"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"runbook\": \"scim-leavr\"}",
         "did you mean \"scim-leaver\""},
        {"leaver.changed", "{\"user\": {\"email\": \"a@b.c\"}, \"runbook\": \"nothing-like-it\"}",
         "runbook: there is no runbook"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"effective_at\": \"9999-12-31\"}", "effective_at"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"effective_at\": \"1969-12-31\"}", "effective_at"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"effective_at\": \"2027-02-30\"}", "effective_at"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"effective_at\": 5}", "effective_at must be a text"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"effective_at\": \"\"}",
         "effective_at is empty: give a date or a date-time; leave it out or send null to start now"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"effective_at\": \" \\t\"}", "effective_at is empty"},
        {"leaver.changed", "{\"user\": {\"email\": \"a@b.c\"}, \"effective_at\": \"\"}", "effective_at is empty"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"effective_at\": \"2199-12-31\"}",
         "effective_at: \"2199-12-31\" is 2200-01-01T04:59:59Z, which is out of range"},
        {"leaver.created", "{\"user\": {\"email\": \"jane\\u200b@b.c\"}}",
         "user.email contains U+200B (zero width space) after \"jane\": nobody sees it"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\", \"employee_id\": \"E\\u00a07\"}}",
         "user.employee_id contains U+00A0 (no-break space) after \"E\""},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\", \"emails\": [\"x@b.c\", \"y\\u00ad@b.c\"]}}",
         "user.emails contains U+00AD (soft hyphen) after \"y\""},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\", \"manager\": {\"email\": \"b\\u202eo@b.c\"}}}",
         "user.manager.email contains U+202E (mark of text direction) after \"b\""},
        {"leaver.created",
         "{\"user\": {\"email\": \"a@b.c\", \"manager\": {\"manager\": {\"employee_id\": \"7\\ufeff8\"}}}}",
         "user.manager.manager.employee_id contains U+FEFF (byte-order mark) after \"7\""},
        {"leaver.created",
         "{\"user\": {\"email\": \"a@b.c\", \"manager_chain\": [{\"email\": \"b@b.c\"}, {\"email\": "
         "\"c\\u200d@b.c\"}]}}",
         "user.manager_chain.email contains U+200D (zero width joiner) after \"c\""},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"ids\": {\"scim\": [\"ok\", \"u\\u20601\"]}}",
         "ids.scim contains U+2060 (word joiner) after \"u\""},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"ids\": {\"scim\": \"\\u200b\"}}",
         "ids.scim must be a text"},
        {"leaver.created", "{\"ids\": {\"scim\": []}}", "user is missing"},
        {"leaver.created", "{\"user\": {}, \"ids\": {\"scim\": []}}", "or the person's account in ids"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"zone\": \"Mars/Base\"}",
         "zone: there is no time zone \"Mars/Base\""},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"mode\": \"try\"}",
         "mode: \"try\" must be live or dry_run"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"priority\": \"asap\"}", "priority: \"asap\""},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"ids\": [\"x\"]}", "ids must be an object"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"ids\": {\"scim\": 7}}", "ids.scim"},
        {"leaver.created", "{\"user\": {\"email\": \"a@b.c\"}, \"ids\": {\"scim\": [\"1\", \"\"]}}", "ids.scim"},
        {"leaver.cancelled", "{\"user\": {}}", "employee_id"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *event = event_of(cases[i].type, cases[i].data);
        struct mapped mapped = {0};
        struct err err = ERR_INIT;
        int result = mapping_apply(fixture->definitions, fixture->conf, event, NULL, fixture->now, &mapped, &err);
        if (result == 0 || err.class != ERR_PERMANENT || !strstr(err_text(&err), cases[i].named)) {
            fail_msg("%s: %s", cases[i].data, result == 0 ? "was taken" : err_text(&err));
        }
        assert_null(mapped.offboarding); /* nothing is written on failure */
        err_release(&err);
        json_decref(event);
    }
}

static void test_too_much_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[] = {"user.name", "user.employee_id", "user", "ids", "reason"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        json_t *event = event_of("leaver.created", "{\"user\": {\"email\": \"a@x.example\"}, \"ids\": {\"scim\": []}}");
        json_t *data = json_object_get(event, "data");
        char *text = mem_alloc(20001);
        memset(text, 'x', strcmp(paths[i], "user") == 0 ? 20000 : strcmp(paths[i], "ids") == 0 ? 900 : 1001);
        if (strcmp(paths[i], "user") == 0) {
            json_put_string(json_at(data, "user"), "note", text);
        } else if (strcmp(paths[i], "ids") == 0) {
            for (int n = 0; n < 20; n++) {
                json_array_append_new(json_at(data, "ids.scim"), json_string(text));
            }
        } else if (strncmp(paths[i], "user.", 5) == 0) {
            json_put_string(json_at(data, "user"), paths[i] + 5, text);
        } else {
            json_put_string(data, paths[i], text);
        }
        struct mapped mapped = {0};
        struct err err = ERR_INIT;
        assert_int_equal(mapping_apply(fixture->definitions, fixture->conf, event, NULL, fixture->now, &mapped, &err),
                         -1);
        assert_non_null(strstr(err_text(&err), paths[i]));
        err_release(&err);
        free(text);
        json_decref(event);
    }
}

/* What is pasted brings blanks and invisible characters along; they are nobody's name. */
static void test_ends_are_trimmed(void **state)
{
    struct mapped mapped = map(
        *state,
        event_of("leaver.created",
                 "{\"user\": {\"email\": \"\\ufeff Jane@X.example\\u200b\\r\\n\", \"employee_id\": \"\\u00a0E 7\\t\","
                 " \"emails\": [\"\", \"\\u2002j@x.example\\u3000\", \"\\u200b\"], \"name\": \" Jane\\u00a0Doe \","
                 " \"manager\": {\"email\": \"boss@x.example\\u200e\"}},"
                 " \"ids\": {\"scim\": [\" u-1\\u200d\"], \"jira\": \"\\u2068j-1\\u2069\"}}"));
    assert_text(mapped.offboarding, "user.email", "Jane@X.example");
    assert_text(mapped.offboarding, "user.employee_id", "E 7");
    assert_text(mapped.offboarding, "user.emails.0", "j@x.example");
    assert_int_equal(json_array_size(json_at(mapped.offboarding, "user.emails")),
                     1); /* what is empty would be everybody's */
    assert_text(mapped.offboarding, "user.name", " Jane\u00a0Doe ");
    assert_text(mapped.offboarding, "user.manager.email", "boss@x.example");
    assert_text(mapped.offboarding, "given_ids.scim.0", "u-1");
    assert_text(mapped.offboarding, "given_ids.jira.0", "j-1");
    assert_string_equal(mapped.person, "jane@x.example");
    mapped_release(&mapped);

    /* A manager who is the leaver once nothing invisible keeps them apart; an id of nothing is none. */
    mapped =
        map(*state, event_of("leaver.created", "{\"user\": {\"email\": \"a@x.example\", \"employee_id\": \"\\u200b \","
                                               " \"manager\": {\"email\": \"A@x.example\\u200b\"}}}"));
    assert_null(json_at(mapped.offboarding, "user.manager"));
    assert_null(json_at(mapped.offboarding, "user.employee_id"));
    mapped_release(&mapped);
}

/* Some webhooks say which account it is, and nothing else. */
static void test_nothing_but_an_account(void **state)
{
    static const char *const data[] = {
        "{\"ids\": {\"zoom\": \"z\", \"gusto\": [\"g-1\", \"g-2\"]}}",
        "{\"user\": null, \"ids\": {\"gusto\": \"g-1\"}}",
        "{\"user\": {\"name\": \"Jane\"}, \"ids\": {\"gusto\": \"g-1\", \"none\": null}}"};
    for (size_t i = 0; i < COUNT_OF(data); i++) {
        struct mapped mapped = map(*state, event_of("leaver.created", data[i]));
        assert_string_equal(mapped.person, "gusto:g-1");
        assert_true(json_is_object(json_at(mapped.offboarding, "user")));
        assert_text(mapped.offboarding, "given_ids.gusto.0", "g-1");
        mapped_release(&mapped);
    }
}

/* ---- a customer's source ----------------------------------------------------------------------------------------- */

static void test_a_source_of_the_customers(void **state)
{
    struct mapped mapped =
        map(*state, event_of("com.workday.termination", "{\"worker\": {\"kind\": \"Employee\", \"mail\": "
                                                        "\"Jane@X.example\", \"number\": \"0042\", \"country\": \"JP\","
                                                        " \"boss\": \"boss@x.example\", \"homeAddress\": \"Elm St\"}, "
                                                        "\"lastDay\": \"2026-12-31\", \"urgent\": true}"));
    assert_text(mapped.offboarding, "source", "workday");
    assert_text(mapped.offboarding, "user.employee_id", "0042");
    assert_text(mapped.offboarding, "user.manager.email", "boss@x.example");
    assert_text(mapped.offboarding, "zone", "Asia/Tokyo");
    assert_text(mapped.offboarding, "effective_at", "2026-12-31T14:59:59.999999Z");
    assert_text(mapped.offboarding, "priority", "urgent");
    assert_int_equal(json_object_size(json_at(mapped.offboarding, "user")), 4);
    mapped_release(&mapped);

    mapped = map(*state,
                 event_of("com.workday.hire", "{\"worker\": {\"kind\": \"Employee\", \"mail\": \"Jane@X.example\"}}"));
    assert_int_equal(mapped.intent, INTENT_REHIRE);
    mapped_release(&mapped);
}

/* rules.md 2: recorded with the criterion and the value seen, and with the person when one can be told. */
static void test_an_unmet_criterion_ignores(void **state)
{
    struct mapped mapped = map(*state, event_of("com.workday.termination",
                                                "{\"worker\": {\"kind\": \"Contractor\", \"mail\": \"c@x.example\"}}"));
    assert_string_equal(mapped.ignored_by, "employee");
    assert_text(mapped.seen, "worker.kind", "Contractor");
    assert_string_equal(mapped.person, "c@x.example");
    mapped_release(&mapped);

    mapped = map(*state,
                 event_of("com.workday.termination",
                          "{\"by\": \"offboard\", \"worker\": {\"kind\": \"Employee\", \"mail\": \"c@x.example\"}}"));
    assert_string_equal(mapped.ignored_by, "not_ours");
    mapped_release(&mapped);

    /* Nothing that could be mapped: ignored all the same. */
    mapped = map(*state, event_of("com.workday.termination", "{\"something\": \"else\"}"));
    assert_string_equal(mapped.ignored_by, "employee");
    assert_null(mapped.person);
    mapped_release(&mapped);
}

/* What the table has no runbook for is refused, by name: numbers as texts. */
static void test_a_table_of_runbooks(void **state)
{
    static const struct {
        const char *data;
        const char *runbook;
        const char *refused;
    } cases[] = {
        {"{\"mail\": \"a@x.example\", \"sequence\": 1}", "scim-leaver", NULL},
        {"{\"mail\": \"a@x.example\", \"sequence\": \"1\"}", "scim-leaver", NULL},
        {"{\"mail\": \"a@x.example\", \"sequence\": \"two\"}", "google-workspace", NULL},
        {"{\"mail\": \"a@x.example\", \"sequence\": 3}", NULL,
         "no runbook serves \"3\": source inventory has them for 1, two"},
        {"{\"mail\": \"a@x.example\"}", NULL, "no runbook serves \"\": source inventory has them for 1, two"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct mapped mapped = map(*state, event_of("com.inventory.leaver", cases[i].data));
        const char *runbook = json_string_at(mapped.offboarding, "runbook");
        assert_string_equal(runbook ? runbook : "", cases[i].runbook ? cases[i].runbook : "");
        assert_string_equal(mapped.refused ? mapped.refused : "", cases[i].refused ? cases[i].refused : "");
        assert_string_equal(mapped.person, "a@x.example");
        mapped_release(&mapped);
    }
}

static void test_a_named_source(void **state)
{
    struct fixture *fixture = *state;
    json_t *event =
        event_of("com.workday.termination", "{\"worker\": {\"kind\": \"Employee\", \"mail\": \"a@x.example\"}}");
    struct mapped mapped;
    struct err err = ERR_INIT;
    assert_int_equal(mapping_apply(fixture->definitions, fixture->conf, event, "workday", fixture->now, &mapped, &err),
                     0);
    mapped_release(&mapped);
    static const char *const wrong[] = {"cloudevents", "sap"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_int_equal(
            mapping_apply(fixture->definitions, fixture->conf, event, wrong[i], fixture->now, &mapped, &err), -1);
        assert_int_equal(err.class, ERR_PERMANENT);
        err_release(&err);
    }
    json_decref(event);
}

/* RFC 3339 has offsets and leap seconds that PostgreSQL doesn't take: it gets the instant. */
static void test_event_time_is_the_instant(void **state)
{
    (void)state;
    static const char *const times[][2] = {{"2026-11-23T10:00:00+23:00", "2026-11-22T11:00:00.000000Z"},
                                           {"2026-11-23t10:00:00.5z", "2026-11-23T10:00:00.500000Z"}};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        json_t *event = json_pack("{s:s, s:s}", "id", "7", "time", times[i][0]);
        json_t *summary = mapping_event_summary(event);
        assert_text(summary, "time", times[i][1]);
        assert_text(summary, "id", "7");
        assert_true(json_is_null(json_object_get(summary, "type")));
        json_decref(summary);
        json_decref(event);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_time_is_the_instant),
        cmocka_unit_test(test_all_that_an_event_can_say),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_the_edges_actor),
        cmocka_unit_test(test_intents),
        cmocka_unit_test(test_bare_dates_and_zones),
        cmocka_unit_test(test_countries_by_any_name),
        cmocka_unit_test(test_private_data_stays_out),
        cmocka_unit_test(test_a_manager_who_is_the_leaver_is_none),
        cmocka_unit_test(test_what_is_refused_names_the_field),
        cmocka_unit_test(test_too_much_is_refused),
        cmocka_unit_test(test_ends_are_trimmed),
        cmocka_unit_test(test_nothing_but_an_account),
        cmocka_unit_test(test_a_source_of_the_customers),
        cmocka_unit_test(test_an_unmet_criterion_ignores),
        cmocka_unit_test(test_a_table_of_runbooks),
        cmocka_unit_test(test_a_named_source),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
