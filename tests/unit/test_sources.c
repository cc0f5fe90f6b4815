/* Sources that take requests: what is wrong in one, what the configuration tells it, who may ask, and who is said to have asked. */
#include "tests/unit/definitions.h"

#include "lib/mapping.h"
#include "lib/secret.h"
#include "lib/settings_check.h"
#include "lib/source_settings.h"
#include "lib/time.h"

/* Of the source of case `i`; all cases are loaded at once, as loading compiles the shipped definitions, too. */
#define NAME "source: hook%02zu\ntypes: {gone%02zu: start}\n"
#define HEAD NAME "map: {user: {email: \"${ .data.email }\"}, runbook: scim-leaver}\n"

/* The source of case `i`; frees the text. */
static void put_case(struct fixture *fixture, size_t i, char *text)
{
    char *file = mem_printf("sources/hook%02zu.yaml", i);
    put(fixture, file, text);
    free(file);
    free(text);
}

static void assert_case(struct fixture *fixture, size_t i, int line, const char *problem)
{
    char *file = mem_printf("hook%02zu.yaml", i);
    assert_has(fixture, file, line, problem);
    free(file);
}

/* One line after HEAD is line 4. */
static void test_problems(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *problem;
    } cases[] = {
        {"signature: {header: X-S, key: secret}\n", 4, "there is no setting \"secret\"; declare it"},
        {"settings: {secret: {}}\nsignature: {header: X-S, key: secret}\n", 5, "it must be `secret: true`"},
        {"settings: {k: {secret: true, default: x}}\n", 4, "a default would be known to everybody"},
        {"settings: {k: {secret: true}}\nsignature:\n  header: X-S\n  key: k\n  encoding: hexx\n", 8,
         "\"encoding\" must be hex or base64"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, key_encoding: utf8}\n", 5,
         "\"key_encoding\" must be plain, base64 or hex"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, algorithm: md5}\n", 5,
         "\"algorithm\" must be sha256, sha512 or sha1"},
        {"settings: {k: {secret: true}}\nsignature: {header: \"X S\", key: k}\n", 5, "must be the name of a header"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, timestamp: X-T}\n", 5,
         "\"timestamp\" is not signed: \"text\" lacks {timestamp}"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, text: \"{id}.{body}\"}\n", 5,
         "\"text\" has {id}, but \"id\" does not name its header"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, text: \"{Body}\"}\n", 5,
         "must have {body} once"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, text: \"{body}{body}\"}\n", 5,
         "must have {body} once"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, text: \"{url}{body}\"}\n", 5,
         "made of {timestamp}, {id}, {body}"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, tolerance: 5m}\n", 5, "needs \"timestamp\""},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, algorithm: sha1}\n", 5,
         "SHA-1 is out of use elsewhere"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, prefix: \"HMAC \"}\n", 5,
         "\"prefix\" must be what a part of the header begins with, without blanks"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, prefix: \"\"}\n", 5, "without blanks"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, timestamp_prefix: \"t=\"}\n", 5,
         "\"timestamp_prefix\" needs \"timestamp\""},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, timestamp: x-s, text: "
         "\"{timestamp}{body}\"}\n",
         5, "\"timestamp_prefix\" must say which part is the time"},
        {"settings: {k: {secret: true}}\ntoken: {header: X-S, key: k, encoding: hex}\n", 5,
         "\"encoding\" must be plain or base64"},
        {"jwt: {header: A, keys: \"http://keys.example.com/jwks\", claims: {aud: x}}\n", 4,
         "must be the https:// address"},
        {"jwt: {header: A, keys: \"http://127.0.0.1.example.com/jwks\", claims: {aud: x}}\n", 4,
         "must be the https:// address"},
        {"jwt: {header: A, keys: \"https://k\", claims: {iss: x}}\n", 4, "\"claims\" needs \"aud\""},
        {"jwt: {header: A, keys: \"https://k\", claims: {aud: 7}}\n", 4, "\"aud\" must be a text"},
        {"jwt: {header: A, claims: {aud: x}}\n", 4, "\"keys\" is missing"},
        {"jwt: {keys: \"https://k\", prefix: \"Bearer \", claims: {aud: x}}\n", 4, "without it the body is the token"},
        {"jwt: {header: A, keys: \"https://k\", claims: {aud: \"${ .settings.who }\"}}\n", 4,
         "there is no setting \"who\""},
        {"jwt: {header: A, keys: \"https://k\", claims: {aud: \"${ .body.aud }\"}}\n", 4, "there is no .body here"},
        {"settings: {k: {secret: true}}\nsignature: {header: X-S, key: k, timestmp: X-T}\n", 5,
         "there is no \"timestmp\" here; did you mean \"timestamp\"?"},
        {"settings: {k: {secret: true}}\ntoken: {key: k}\n", 5, "\"header\" is missing"},
        {"challenge: {header: X-C, answer: {}}\n", 4, "needs \"signature\", \"token\" or \"jwt\": who may send?"},
        {"settings: {k: {secret: true}}\ntoken: {header: X-T, key: k}\nchallenge: {answer: {}}\n", 6,
         "has \"header\" (of a GET) or \"if\""},
        {"settings: {k: {secret: true}}\ntoken: {header: X-T, key: k}\nevents: \"${ .body.list }\"\n", 6,
         "\"events\" needs \"event\""},
        {"event: {id: \"${ .data.id }\"}\n", 4, "\"type\" is missing"},
        {"event: {id: \"${ .event.id }\", type: gone}\n", 4, "there is no .event here"},
        {"criteria: {here: \"${ .settings.offise == \\\"x\\\" }\"}\nsettings: {office: {}}\n", 4,
         "there is no setting \"offise\"; did you mean \"office\"?"},
        {"criteria: {key: \"${ .settings.k == \\\"x\\\" }\"}\nsettings: {k: {secret: true}}\n", 4,
         "no expression sees it"},
        {"authorize: \"${ .data.may }\"\n", 4, "is {that, why}, or a list of them"},
        {"authorize: [{that: \"${ .data.may }\"}]\n", 4, "\"why\" is missing"},
        {"settings: {k: {secret: true}}\ntoken: {header: X-T, key: k}\nanswer: {status: 99}\n", 6, "from 200 to 599"},
        {"settings: {k: {secret: true}}\ntoken: {header: X-T, key: k}\nanswer: {refused: {txt: x}}\n", 6,
         "there is no \"txt\" here"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put_case(fixture, i, mem_printf(HEAD "%s", i, i, cases[i].text));
    }
    load(fixture);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_case(fixture, i, cases[i].line, cases[i].problem);
    }
}

/* These are as they should be: nothing is said of them. */
static void test_proofs_that_are_fine(void **state)
{
    static const char *const cases[] = {
        "settings: {k: {secret: true}}\nsignature: {header: Stripe-Signature, key: k, prefix: v1=, timestamp: "
        "Stripe-Signature,"
        " timestamp_prefix: t=, text: \"{timestamp}.{body}\", algorithm: sha512}\n",
        "settings: {k: {secret: true}}\ntoken: {header: Authorization, prefix: \"Basic \", encoding: base64, key: k}\n",
        "settings: {aud: {}, keys: {}}\njwt: {header: Authorization, prefix: \"Bearer \", keys: \"${ .settings.keys "
        "}\","
        " claims: {aud: \"${ .settings.aud }\", iss: \"https://x\"}, tolerance: 5m, body_sha256: hash}\nanswer: "
        "{status: 200}\n",
        "jwt: {keys: \"http://127.0.0.1:8080/jwks\", claims: {aud: x}}\nevent: {id: \"${ .body.jti }\", type: gone}\n",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put_case(fixture, i, mem_printf(HEAD "%s", i, i, cases[i]));
    }
    load(fixture);
    assert_count(fixture, 0);
}

/* Who leaves may be known by an account alone. */
static void test_whom_a_source_may_know(void **state)
{
    static const struct {
        const char *map, *problem;
    } cases[] = {
        {"{ids: {gusto: \"${ .data.uuid }\"}, runbook: scim-leaver}", NULL},
        {"{user: {name: \"${ .data.name }\"}, ids: {gusto: \"${ .data.uuid }\"}, runbook: scim-leaver}", NULL},
        {"{user: {name: \"${ .data.name }\"}, runbook: scim-leaver}",
         "needs email or employee_id, or \"ids\" an account"},
        {"{runbook: scim-leaver}", "\"user\" is missing: who leaves?"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put_case(fixture, i, mem_printf(NAME "map: %s\n", i, i, cases[i].map));
    }
    load(fixture);
    assert_count(fixture, 2);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (cases[i].problem) {
            assert_case(fixture, i, 3, cases[i].problem);
        }
    }
}

static const char hook[] =
    "source: hook\n"
    "settings:\n"
    "  key: {secret: true}\n"
    "  people: {list: true, default: [nobody]}\n"
    "  office: {default: Paris}\n"
    "  other: {}\n"
    "token: {header: X-T, key: key}\n"
    "event: {id: \"${ .data.id }\", type: leaver.created}\n"
    "types: {leaver.created: start, back: rehire}\n"
    "criteria: {office: \"${ .data.office == .settings.office }\"}\n"
    "authorize:\n"
    "  - {that: \"${ .data.by as $who | .settings.people | any(. == $who) }\", why: \"${ .data.by } may not\"}\n"
    "  - {that: \"${ .data.nothing.at.all | test(\\\"x\\\") | not }\", why: \"${ error(\\\"x\\\") }\"}\n"
    "map:\n"
    "  user: {email: \"${ .data.email }\"}\n"
    "  runbook: scim-leaver\n"
    "  reason: \"${ .settings.office }\"\n"
    "  actor: {kind: badge, id: \"${ .data.by }\", name: \"${ .data.name }\"}\n";

static void configure(struct fixture *fixture, const char *more)
{
    char *path = mem_printf("%s/offboard.yaml", fixture->directory);
    char *text = mem_printf("definitions: {sources: [%s/sources]}\n%s", fixture->directory, more);
    struct err err = ERR_INIT;
    write_text(path, text);
    conf_free(fixture->conf);
    fixture->conf = conf_load(path, &err);
    if (!fixture->conf) {
        fail_msg("%s", err_text(&err));
    }
    free(text);
    free(path);
}

static void prepare(struct fixture *fixture, const char *more)
{
    put(fixture, "sources/hook.yaml", hook);
    configure(fixture, more);
    load(fixture);
    assert_count(fixture, 0);
}

static void test_settings(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *conf, *settings, *secrets;
    } cases[] = {
        {"", "{\"office\":\"Paris\",\"other\":null,\"people\":[\"nobody\"]}", "{\"key\":[]}"},
        {"sources: {hook: {people: \"a, b ,,c\", office: Rome, key: \"one, and only\"}}",
         "{\"office\":\"Rome\",\"other\":null,\"people\":[\"a\",\"b\",\"c\"]}", "{\"key\":[\"one, and only\"]}"},
        {"sources: {hook: {people: [a b, c], key: [new secret, old secret]}}",
         "{\"office\":\"Paris\",\"other\":null,\"people\":[\"a b\",\"c\"]}",
         "{\"key\":[\"new secret\",\"old secret\"]}"},
        {"sources.hook.key: \"new secret\\nold secret\\n\"",
         "{\"office\":\"Paris\",\"other\":null,\"people\":[\"nobody\"]}", "{\"key\":[\"new secret\",\"old secret\"]}"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        prepare(fixture, cases[i].conf);
        const struct definition *source = definition_find(fixture->definitions, DEFINITION_SOURCE, "hook");
        json_t *settings = source_settings(source, fixture->conf), *secrets = source_secrets(source, fixture->conf);
        char *text = json_canonical(settings), *secret = json_canonical(secrets);
        assert_string_equal(text, cases[i].settings);
        assert_string_equal(secret, cases[i].secrets);
        assert_int_equal(settings_check(fixture->definitions, fixture->conf, DEFINITION_SOURCE, NULL, NULL), 0);
        free(secret);
        free(text);
        json_decref(secrets);
        json_decref(settings);
    }
    char *masked = secret_mask("old secret");
    assert_string_equal(masked, "***");
    free(masked);
    secret_forget_all();
}

static void test_settings_of_the_environment(void **state)
{
    struct fixture *fixture = *state;
    setenv("OFFBOARD_SOURCES_HOOK_PEOPLE", "x,y", 1);
    prepare(fixture, "");
    unsetenv("OFFBOARD_SOURCES_HOOK_PEOPLE");
    const struct definition *source = definition_find(fixture->definitions, DEFINITION_SOURCE, "hook");
    json_t *settings = source_settings(source, fixture->conf);
    assert_int_equal(json_array_size(json_object_get(settings, "people")), 2);
    json_decref(settings);
}

static void test_mistyped_settings(void **state)
{
    struct fixture *fixture = *state;
    static const char *const cases[][2] = {
        {"sources.hook.poeple: a", "sources.hook.poeple: there is no such setting; did you mean \"people\"?"},
        {"sources.hok.people: a", "sources.hok.people: there is no such source; did you mean \"hook\"?"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = ERR_INIT;
        prepare(fixture, cases[i][0]);
        assert_int_equal(settings_check(fixture->definitions, fixture->conf, DEFINITION_SOURCE, NULL, &err), -1);
        assert_string_equal(err_text(&err), cases[i][1]);
        err_release(&err);
    }
}

/* Maps an event with this data. The caller releases. */
static struct mapped map(struct fixture *fixture, const char *type, const char *data, bool signed_by_hook)
{
    struct mapped mapped = {0};
    struct err err = ERR_INIT;
    json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0", "id", "1", "source", "/x", "type",
                              type, "data", json_parse(data, strlen(data), NULL));
    if (signed_by_hook) {
        json_object_set_new(event, MAPPING_SOURCE, json_string("hook"));
    }
    if (mapping_apply(fixture->definitions, fixture->conf, event, NULL, time_now(), &mapped, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    json_decref(event);
    return mapped;
}

/* Criteria, then who may: what does not concern us is ignored, whoever asks. */
static void test_who_may(void **state)
{
    struct fixture *fixture = *state;
    prepare(fixture, "sources.hook.people: [ann]");
    static const struct {
        const char *type, *data, *ignored_by, *refused;
    } cases[] = {
        {"leaver.created", "{\"email\": \"j@x.example\", \"by\": \"ann\", \"office\": \"Rome\"}", "office", NULL},
        {"leaver.created", "{\"email\": \"j@x.example\", \"by\": \"bob\", \"office\": \"Paris\"}", NULL, "bob may not"},
        /* a rule that fails lets nobody in, and neither does one that can't say why not */
        {"leaver.created", "{\"email\": \"j@x.example\", \"by\": \"ann\", \"office\": \"Paris\"}", NULL,
         "whoever asked may not"},
        {"unheard.of", "{\"email\": \"j@x.example\", \"by\": \"ann\", \"office\": \"Paris\"}", "types", NULL},
        /* nor is an address that is none in the way of a refusal */
        {"back", "{\"email\": \"nobody\", \"by\": \"bob\", \"office\": \"Paris\"}", NULL, "bob may not"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct mapped mapped = map(fixture, cases[i].type, cases[i].data, true);
        assert_string_equal(mapped.ignored_by ? mapped.ignored_by : "", cases[i].ignored_by ? cases[i].ignored_by : "");
        assert_string_equal(mapped.refused ? mapped.refused : "", cases[i].refused ? cases[i].refused : "");
        mapped_release(&mapped);
    }
}

/* The same type reaches the built-in source, unless the edge says that the hook's sender signed it. */
static void test_whose_event(void **state)
{
    struct fixture *fixture = *state;
    prepare(fixture, "sources.hook.people: [ann]");
    struct mapped mapped = map(fixture, "leaver.created", "{\"user\": {\"email\": \"j@x.example\"}}", false);
    assert_string_equal(json_string_at(mapped.offboarding, "source"), "cloudevents");
    assert_string_equal(json_string_at(mapped.offboarding, "actor.kind"), "source");
    mapped_release(&mapped);
    mapped = map(fixture, "leaver.created",
                 "{\"email\": \"j@x.example\", \"by\": \"bob\", \"office\": \"Paris\", \"name\": \"Bob\"}", true);
    assert_string_equal(json_string_at(mapped.offboarding, "source"), "hook");
    assert_string_equal(json_string_at(mapped.offboarding, "reason"), "Paris");
    assert_string_equal(json_string_at(mapped.offboarding, "actor.kind"), "badge");
    assert_string_equal(json_string_at(mapped.offboarding, "actor.id"), "bob");
    assert_string_equal(json_string_at(mapped.offboarding, "actor.name"), "Bob");
    mapped_release(&mapped);
    /* an id that is no text: the address is who asked */
    mapped = map(fixture, "leaver.created", "{\"email\": \"j@x.example\", \"by\": [1], \"office\": \"Paris\"}", true);
    assert_string_equal(json_string_at(mapped.offboarding, "actor.kind"), "source");
    mapped_release(&mapped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, definitions_setup, definitions_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_problems),
                                       TEST(test_proofs_that_are_fine),
                                       TEST(test_whom_a_source_may_know),
                                       TEST(test_settings),
                                       TEST(test_settings_of_the_environment),
                                       TEST(test_mistyped_settings),
                                       TEST(test_who_may),
                                       TEST(test_whose_event)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
