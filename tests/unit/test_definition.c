/* Definitions: what is shipped is right; what is wrong is said with file, line and the nearest right name. */
#include "tests/unit/definitions.h"

/* A vendor with a step that reads, one that revokes and one that asks for a parameter. */
static const char vpn[] = "system: vpn\n"
                          "settings: {url: {required: true}, token: {required: true, secret: true}}\n"
                          "auth: {header: {Authorization: \"Bearer ${ .settings.token }\"}}\n"
                          "identify:\n"
                          "  keys: [email]\n"
                          "  trusts: \"it is asked for one address\"\n"
                          "  requests: [{get: \"/users/${ .key }\", save: {id: \"${ .body.id }\"}}]\n"
                          "actions:\n"
                          "  block:\n"
                          "    effect: revoke\n"
                          "    requests: [{post: \"/users/${ .ids.vpn }/block\"}]\n"
                          "    verify: {get: \"/users/${ .ids.vpn }\", expect: \"${ .body.blocked }\"}\n"
                          "    outputs: {at: \"${ .body.at }\"}\n"
                          "  note:\n"
                          "    effect: notify\n"
                          "    with: {text: {required: true}, color: {default: red}}\n"
                          "    requests: [{post: \"/notes\", json: {text: \"${ .with.text }\"}}]\n";

/* ---- what is shipped ------------------------------------------------------------------------------------------------------ */

static void test_shipped_are_right(void **state)
{
    struct fixture *fixture = *state;
    load(fixture);
    assert_count(fixture, 0);
    const struct definition *scim = definition_find(fixture->definitions, DEFINITION_CONNECTOR, "scim");
    assert_non_null(scim);
    assert_string_equal(definition_effect(fixture->definitions, "scim", "deactivate_user"), "revoke");
    assert_string_equal(definition_effect(fixture->definitions, "scim", "delete_user"), "destroy");
    assert_null(definition_effect(fixture->definitions, "scim", "nothing"));
    assert_null(definition_effect(fixture->definitions, "nobody", "nothing"));
    assert_non_null(definition_find(fixture->definitions, DEFINITION_CONNECTOR, "jira"));
    assert_non_null(definition_find(fixture->definitions, DEFINITION_RUNBOOK, "scim-leaver"));
    assert_non_null(definition_find(fixture->definitions, DEFINITION_SOURCE, "cloudevents"));
    assert_string_equal(definition_nearest(fixture->definitions, DEFINITION_RUNBOOK, "scim-leever"), "scim-leaver");
    char hash[ID_SHA256_HEX_SIZE];
    id_sha256_hex(scim->text, strlen(scim->text), hash);
    assert_string_equal(scim->hash, hash);
}

/* People read a report of what was done: every system and every action has a name for it, and a sentence (it may be empty). */
static void test_shipped_have_words_for_people(void **state)
{
    struct fixture *fixture = *state;
    load(fixture);
    for (size_t i = 0; i < definition_count(fixture->definitions, DEFINITION_CONNECTOR); i++) {
        const struct definition *connector = definition_item(fixture->definitions, DEFINITION_CONNECTOR, i);
        if (!json_string_at(connector->tree, "title")) {
            fail_msg("%s has no title", connector->name);
        }
        const char *name;
        json_t *action;
        json_object_foreach(json_object_get(connector->tree, "actions"), name, action)
        {
            const char *title = json_string_at(action, "title");
            if (!title || !*title || !json_object_get(action, "says")) {
                fail_msg("%s, %s: title or says is missing", connector->name, name);
            }
        }
    }
    for (size_t i = 0; i < definition_count(fixture->definitions, DEFINITION_SOURCE); i++) {
        const struct definition *source = definition_item(fixture->definitions, DEFINITION_SOURCE, i);
        if (!json_string_at(source->tree, "title")) {
            fail_msg("%s has no title", source->name);
        }
    }
}

/* A customer's file wins by name; two of a name in one directory are a mistake. */
static void test_own_wins_by_name(void **state)
{
    struct fixture *fixture = *state;
    load(fixture);
    size_t runbooks = definition_count(fixture->definitions, DEFINITION_RUNBOOK);
    put(fixture, "runbooks/mine.yaml",
        "runbook: scim-leaver\nphases: [{name: p, steps: [{id: a, system: scim, action: deactivate_user}]}]\n");
    load(fixture);
    assert_count(fixture, 0);
    assert_int_equal(definition_count(fixture->definitions, DEFINITION_RUNBOOK), runbooks);
    const struct definition *mine = definition_find(fixture->definitions, DEFINITION_RUNBOOK, "scim-leaver");
    assert_non_null(strstr(mine->file, "/runbooks/mine.yaml"));
    put(fixture, "runbooks/twice.yaml",
        "runbook: scim-leaver\nphases: [{name: p, steps: [{id: a, system: scim, action: deactivate_user}]}]\n");
    load(fixture);
    assert_count(fixture, 1);
    assert_has(fixture, "twice.yaml", 1, "there is already a runbook \"scim-leaver\"");
}

/* ---- runbooks ------------------------------------------------------------------------------------------------------------- */

static void test_runbook_names(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "runbooks/names.yaml",
        "runbook: names\n"                                                               /* 1 */
        "phases:\n"                                                                      /* 2 */
        "  - name: first\n"                                                              /* 3 */
        "    steps:\n"                                                                   /* 4 */
        "      - {id: a, system: vnp, action: block}\n"                                  /* 5 */
        "      - {id: b, system: vpn, action: blocc}\n"                                  /* 6 */
        "      - {id: c, system: vpn, action: note, with: {txt: hello, color: blue}}\n"  /* 7 */
        "      - {id: c, system: vpn, action: block}\n"                                  /* 8 */
        "      - {id: d, system: vpn, action: block, whenn: always}\n"                   /* 9 */
        "      - {id: e, system: vpn, action: block, needs: [aa, f]}\n"                  /* 10 */
        "      - {id: g/h, system: vpn, action: block}\n"                                /* 11 */
        "      - {id: i, system: vpn, action: block, when: on_sucess, needs: [d]}\n"     /* 12 */
        "      - {id: j, system: vpn, action: block, after: 30}\n"                       /* 13 */
        "      - {id: k, system: vpn, action: block, after: 3 days, expires: 1}\n"       /* 14 */
        "      - {system: vpn, needs: c}\n"                                              /* 15 */
        "  - name: second\n"                                                             /* 16 */
        "    after: 30d\n"                                                               /* 17 */
        "    steps: [{id: f, system: vpn, action: block, after: 1d}]\n"                  /* 18 */
        "  - name: second\n"                                                             /* 19 */
        "    after: 29d\n"                                                               /* 20 */
        "    steps: []\n"                                                                /* 21 */
        "mirror:\n"                                                                      /* 22 */
        "  - {system: vpn, action: blok, needs: [frist]}\n"                              /* 23 */
        "  - {system: vpn, action: block, with: {x: \"${ .results }\"}, when: always}\n" /* 24 */
        "notify: {on_phase_ends: []}\n");                                                /* 25 */
    load(fixture);
    assert_has(fixture, "names.yaml", 5, "there is no connector for system \"vnp\"; did you mean \"vpn\"?");
    assert_has(fixture, "names.yaml", 6, "system \"vpn\" has no action \"blocc\"; did you mean \"block\"?");
    assert_has(fixture, "names.yaml", 7, "action \"note\" has no parameter \"txt\"; did you mean \"text\"?");
    assert_has(fixture, "names.yaml", 7, "parameter \"text\" of action \"note\" is missing");
    assert_has(fixture, "names.yaml", 8, "already a step \"c\"");
    assert_has(fixture, "names.yaml", 9, "there is no \"whenn\" here; did you mean \"when\"?");
    assert_has(fixture, "names.yaml", 10, "there is no step \"aa\"");
    assert_has(fixture, "names.yaml", 10, "step \"f\" comes in a later phase");
    assert_has(fixture, "names.yaml", 11, "\"id\" must be a name");
    assert_has(fixture, "names.yaml", 12, "did you mean \"on_success\"?");
    assert_has(fixture, "names.yaml", 13, "\"after\" must be a duration with its unit");
    assert_has(fixture, "names.yaml", 14, "\"after\": ");
    assert_has(fixture, "names.yaml", 14, "\"expires\" must be a duration with its unit");
    assert_has(fixture, "names.yaml", 15, "\"id\" is missing");
    assert_has(fixture, "names.yaml", 15, "\"action\" is missing");
    assert_has(fixture, "names.yaml", 15, "\"needs\" must be a list of texts");
    assert_has(fixture, "names.yaml", 18, "counts from the offboarding's start");
    assert_has(fixture, "names.yaml", 19, "already a phase \"second\"");
    assert_has(fixture, "names.yaml", 19, "this phase's time (29d) comes before that of the phase above it (30d)");
    assert_has(fixture, "names.yaml", 19, "at least one step");
    assert_has(fixture, "names.yaml", 23, "system \"vpn\" has no action \"blok\"; did you mean \"block\"?");
    assert_has(fixture, "names.yaml", 23, "there is no step \"frist\"");
    assert_has(fixture, "names.yaml", 24, "there is no \"when\" here");
    assert_has(fixture, "names.yaml", 24, "action \"block\" has no parameter \"x\"");
    assert_has(fixture, "names.yaml", 24, "whose effect is notify, not revoke");
    assert_has(fixture, "names.yaml", 25, "did you mean \"on_phase_end\"?");
    assert_count(fixture, 26);
}

static void test_runbook_cycles(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "runbooks/cycle.yaml",
        "runbook: cycle\n"
        "phases:\n"
        "  - name: first\n"
        "    steps:\n"
        "      - {id: before, system: vpn, action: block, needs: [a]}\n"
        "      - {id: a, system: vpn, action: block, needs: [c]}\n"
        "      - {id: b, system: vpn, action: block, needs: [a]}\n"
        "      - {id: c, system: vpn, action: block, needs: [b]}\n"
        "      - {id: self, system: vpn, action: block, needs: [self]}\n"
        "      - {id: join, system: vpn, action: block, needs: [before, after]}\n"
        "      - {id: after, system: vpn, action: block}\n");
    load(fixture);
    assert_count(fixture, 2);
    assert_has(fixture, "cycle.yaml", 6, "the steps wait for each other: a -> c -> b -> a");
    assert_has(fixture, "cycle.yaml", 9, "the steps wait for each other: self -> self");
}

static void test_runbook_reads(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "connectors/desk.yaml",
        "system: desk\n"
        "settings: {url: {required: true}}\n"
        "actions:\n"
        "  tell:\n"
        "    effect: notify\n"
        "    with: {to: {default: \"${ .user.manager.email }\"}}\n"
        "    requests: [{post: \"/tell\", json: {to: \"${ .with.to }\"}, save: {id: \"${ .body.id }\"}}]\n"
        "    outputs: {id: \"${ .saved.id }\"}\n");
    put(fixture, "runbooks/reads.yaml",
        "runbook: reads\n"                                                                            /* 1 */
        "phases:\n"                                                                                   /* 2 */
        "  - name: first\n"                                                                           /* 3 */
        "    steps:\n"                                                                                /* 4 */
        "      - {id: tell, system: desk, action: tell, with: {to: \"x@example.com\"}}\n"             /* 5 */
        "      - {id: a, system: vpn, action: note, with: {text: \"${ .steps.tell.outputs.id }\"}}\n" /* 6 */
        "      - id: b\n"                                                                             /* 7 */
        "        system: vpn\n"                                                                       /* 8 */
        "        action: note\n"                                                                      /* 9 */
        "        needs: [tell]\n"                                                                     /* 10 */
        "        if: \"${ .steps.tel.outputs.id != null }\"\n"                                        /* 11 */
        "        with:\n"                                                                             /* 12 */
        "          text: \"${ .steps.tell.outputs.key }\"\n"                                          /* 13 */
        "          color: \"${ .steps.tell.output }\"\n"                                              /* 14 */
        "      - {id: c, system: vpn, action: note, with: {text: \"${ .usr.email }\"}}\n"             /* 15 */
        "      - {id: d, system: vpn, action: note, with: {text: \"${ .user.manager.email }\"}}\n"    /* 16 */
        "      - {id: e, system: desk, action: tell}\n"                                               /* 17 */
        "      - {id: f, system: vpn, action: block, needs: [tell]}\n"                                /* 18 */
        "      - {id: g, system: vpn, action: block, if: \"yes\"}\n");                                /* 19 */
    load(fixture);
    assert_has(fixture, "reads.yaml", 6, "\"a\" reads step \"tell\" without needing it: add it to `needs`");
    assert_has(fixture, "reads.yaml", 11, "there is no step \"tel\"; did you mean \"tell\"?");
    assert_has(fixture, "reads.yaml", 13, "step \"tell\" has no output \"key\"");
    assert_has(fixture, "reads.yaml", 14, "there is no .output here; did you mean \"outputs\"?");
    assert_has(fixture, "reads.yaml", 15, "there is no .usr here; did you mean \"user\"?");
    assert_has(fixture, "reads.yaml", 16, ".user.manager is used by");
    assert_has(fixture, "reads.yaml", 17, ".user.manager is used by");
    assert_has(fixture, "reads.yaml", 18, "\"f\" takes access away, but waits for \"tell\" of another system");
    assert_has(fixture, "reads.yaml", 19, "\"if\" must be an expression \"${ … }\" in quotes");
    assert_count(fixture, 9);
    assert_null(definitions_load_or_fail(fixture->conf, NULL, NULL));
}

/* rules.md 4: a source that can choose the runbook guarantees a manager. */
static void test_manager_is_guaranteed(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "runbooks/boss.yaml",
        "runbook: boss\n"
        "phases: [{name: p, steps: [{id: d, system: vpn, action: note, with: {text: \"${ .user.manager.email "
        "}\"}}]}]\n");
    put(fixture, "sources/hr.yaml",
        "source: hr\ntypes: {hr.left: start}\nguarantees: [user.manager]\n"
        "map: {user: {email: \"${ .data.mail }\"}, runbook: scim-leaver}\n");
    load(fixture);
    assert_count(fixture, 1); /* that source never chooses it */
    assert_has(fixture, "boss.yaml", 2, ".user.manager is used");
    put(fixture, "sources/hr.yaml",
        "source: hr\ntypes: {hr.left: start}\nguarantees: [user.manager]\n"
        "map: {user: {email: \"${ .data.mail }\"}, runbook: boss}\n");
    load(fixture);
    assert_count(fixture, 0);
}

/* A warning stops nobody. */
static void test_warnings_do_not_fail(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "runbooks/waits.yaml",
        "runbook: waits\n"
        "phases: [{name: p, steps: [{id: t, system: jira, action: create_ticket},\n"
        "  {id: b, system: vpn, action: block, needs: [t]}]}]\n");
    load(fixture);
    assert_count(fixture, 1);
    assert_true(fixture->problems.items[0].warning);
    struct definitions *definitions = definitions_load_or_fail(fixture->conf, NULL, &err);
    assert_non_null(definitions);
    definitions_free(definitions);
    err_release(&err);
}

/* jq refuses "$nobody", the allow-list doesn't: who evaluates it hears of it, who doesn't starts. */
static void test_only_what_is_used_is_compiled(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    put(fixture, "connectors/vpn.yaml",
        "system: vpn\n"
        "actions:\n"
        "  block: {effect: revoke, requests: [{get: \"/x\", query: {n: \"${ $nobody }\"}}]}\n");
    const char *const vpn_only[] = {"vpn", NULL};
    const char *const other[] = {"scim", NULL};
    struct definitions *definitions =
        definitions_load_or_fail(fixture->conf, &(struct definition_use){.sources = true, .connectors = other}, &err);
    assert_non_null(definitions);
    assert_non_null(definition_find(definitions, DEFINITION_CONNECTOR, "vpn"));
    definitions_free(definitions);
    assert_null(definitions_load_or_fail(fixture->conf, &(struct definition_use){.connectors = vpn_only}, &err));
    assert_non_null(strstr(err_text(&err), "vpn.yaml:3: "));
    err_release(&err);
}

static void test_the_rest_is_left_to_others(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    put(fixture, "connectors/vpn.yaml", "system: vpn\nactions:\n  block: {effekt: revoke}\n");
    struct definition_use use = {.sources = true, .runbooks = true};
    assert_null(definitions_load_or_fail(fixture->conf, &use, &err));
    assert_non_null(strstr(err_text(&err), "vpn.yaml:3: "));
    err_release(&err);
    use.alone = true;
    struct definitions *definitions = definitions_load_or_fail(fixture->conf, &use, &err);
    assert_non_null(definitions);
    definitions_free(definitions);
    const char *const vpn_only[] = {"vpn", NULL};
    use.connectors = vpn_only;
    assert_null(definitions_load_or_fail(fixture->conf, &use, &err));
    err_release(&err);
}

/* ---- files ---------------------------------------------------------------------------------------------------------------- */

static void test_unreadable_files(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "runbooks/broken.yaml", "runbook: broken\nphases: [\n");
    put(fixture, "runbooks/twice.yaml", "runbook: twice\nphases: []\nphases: []\n");
    put(fixture, "runbooks/nameless.yaml", "phases: []\n");
    put(fixture, "runbooks/flow.yaml",
        "runbook: flow\nphases: [{name: p, steps: [{id: a, if: ${ .user }, system: x}]}]\n");
    put(fixture, "runbooks/README.md", "not a definition\n");
    load(fixture);
    assert_has(fixture, "broken.yaml", 3, "closing bracket");
    assert_has(fixture, "twice.yaml", 3, "duplicate key");
    assert_has(fixture, "nameless.yaml", 1, "a runbook begins with \"runbook: NAME\"");
    assert_has(fixture, "flow.yaml", 2, "put the expression in quotes");
    assert_count(fixture, 4);
    assert_null(definition_find(fixture->definitions, DEFINITION_RUNBOOK, "broken"));
}

static void test_missing_directory(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;
    char *path = mem_printf("%s/sources", fixture->directory);
    assert_int_equal(rmdir(path), 0);
    assert_null(definitions_load(fixture->conf, &fixture->problems, &err));
    assert_non_null(strstr(err_text(&err), "definitions.sources: could not read the directory"));
    err_release(&err);
    free(path);
}

/* jq refuses what the allow-list passes: every such expression is named, with its line. */
static void test_expressions_that_do_not_compile(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/vpn.yaml", vpn);
    put(fixture, "runbooks/jq.yaml",
        "runbook: jq\n"
        "phases:\n"
        "  - name: p\n"
        "    steps:\n"
        "      - {id: a, system: vpn, action: block, if: \"${ .user.email == $nobody }\"}\n"
        "      - {id: b, system: vpn, action: block, if: \"${ .user.email == \\\"x\\\" }\"}\n"
        "      - {id: c, system: vpn, action: block, if: \"${ .user | split }\"}\n"
        "      - {id: d, system: vpn, action: block, if: \"${ env.HOME }\"}\n"
        "      - {id: e, system: vpn, action: block, if: \"${ .user\"}\n");
    load(fixture);
    assert_has(fixture, "jq.yaml", 5, "$nobody");
    assert_has(fixture, "jq.yaml", 7, "split");
    assert_has(fixture, "jq.yaml", 8, "\"env\" is not allowed");
    assert_has(fixture, "jq.yaml", 9, "is not closed");
    assert_count(fixture, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shipped_are_right, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_shipped_have_words_for_people, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_own_wins_by_name, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_runbook_names, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_runbook_cycles, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_runbook_reads, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_manager_is_guaranteed, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_warnings_do_not_fail, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_only_what_is_used_is_compiled, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_the_rest_is_left_to_others, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_files, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_missing_directory, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_expressions_that_do_not_compile, definitions_setup, definitions_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
