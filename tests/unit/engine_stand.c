/* links: tests/unit/vendor_stub.c worker/circuit.c worker/credentials.c worker/engine.c worker/engine_accounts.c */
/* links: worker/engine_auth.c worker/engine_cache.c worker/engine_check.c worker/engine_classify.c worker/engine_context.c */
/* links: worker/engine_defer.c worker/engine_escrow.c worker/engine_gate.c worker/engine_health.c worker/engine_identify.c worker/engine_mail.c */
/* links: worker/engine_once.c worker/engine_pages.c worker/engine_poll.c worker/engine_prepare.c */
/* links: worker/engine_render.c worker/engine_request.c worker/engine_secret.c worker/engine_sequence.c */
/* links: worker/engine_settings.c worker/engine_sign.c worker/engine_signal.c worker/engine_systems.c */
/* links: worker/engine_trace.c worker/engine_verify.c */
/* links: worker/engine_wait.c worker/fiber.c worker/grants.c worker/http.c worker/limits.c worker/link.c worker/mail.c */
/* links: worker/mail_address.c worker/report.c worker/report_phase.c worker/retry.c worker/smtp.c worker/token.c */
/* links: worker/engine_ldap.c worker/engine_protect.c worker/ldap_call.c worker/ldap_text.c worker/body.c */
/* links: worker/engine_evidence.c worker/engine_told.c worker/engine_explain.c worker/engine_guard.c worker/engine_items.c */
/* links: worker/engine_batch.c worker/engine_lanes.c worker/engine_provide.c */
/* links: worker/engine_ahead.c worker/engine_compare.c worker/engine_lists.c worker/engine_partial.c worker/engine_paths.c worker/engine_seen.c worker/engine_signs.c */
/* links: worker/engine_spelling.c */
/* links: worker/engine_place.c worker/engine_search.c worker/engine_state.c worker/engine_definition.c */
/* links: worker/await.c worker/gzip.c worker/ldap_connect.c worker/multi.c */
#include "tests/unit/engine_stand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/metrics.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"
#include "worker/engine_internal.h"
#include "worker/fiber.h"

/* Small actions, each for one thing the engine does. */
static const char connector[] =
    "system: vendor\n"
    "settings:\n"
    "  url: {required: true}\n"
    "  token: {required: true, secret: true}\n"
    "  settle: {default: 90s}\n"
    "auth: {header: {Authorization: \"Bearer ${ .settings.token }\"}}\n"
    "limits: {default: {in_flight: 4}}\n"
    "check: {get: /check}\n"
    "defs:\n"
    "  busy: {retry: \"${ .body.busy }\", query: {from: defs, mine: \"no\"}}\n"
    "  elsewhere: {base: \"${ .settings.url }/elsewhere\"}\n"
    "  orders: {get: \"/orders/${ .item }\"}\n"
    "identify:\n"
    "  keys: [employee_id, email]\n"
    "  requests:\n"
    "    - {get: /find, query: {key: \"${ .key }\"}, save: {id: \"${ .body.ids }\"}}\n"
    "  confirm:\n"
    "    - {get: \"/users/${ .ids.vendor }\", missing: \"${ .status == 404 }\"}\n"
    "actions:\n"
    "  disable:\n"
    "    effect: revoke\n"
    "    with: {reason: {default: left}, to: {default: null}}\n"
    "    requests:\n"
    "      - post: \"/users/${ .ids.vendor }/disable\"\n"
    "        query: {to: \"${ .with.to }\"}\n"
    "        json: {reason: \"${ .with.reason }\"}\n"
    "        missing: \"${ .status == 404 }\"\n"
    "        already: \"${ .body.already }\"\n"
    "    verify: {get: \"/users/${ .ids.vendor }\", expect: \"${ .body.active == false }\", within: 500ms, every: "
    "200ms}\n"
    "  disable_dotted:\n"
    "    effect: revoke\n"
    "    requests: [{post: \"/users/${ .ids.vendor }/disable\"}]\n"
    "    verify: {get: \"/users/${ .ids.vendor }\", expect: \"${ .body[\\\".tag\\\"] == \\\"complete\\\" and "
    ".body[\\\"a.b\\\"] == 7 }\"}\n"
    "  check_first:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: \"/users/${ .ids.vendor }\", save: {user: \"${ .body }\", name: \"${ .body.name }\"}}\n"
    "      - {put: \"/users/${ .ids.vendor }\", json: \"${ .saved.user + {active: false} }\"}\n"
    "    outputs: {name: \"${ .saved.name }\"}\n"
    "  leave:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - {get: /groups, pages: {next: \"${ .body.next }\"}, save: {groups: \"${ .body.groups }\"}}\n"
    "      - {delete: \"/groups/${ .item }\", for_each: \"${ .saved.groups }\", already: \"${ .status == 404 }\"}\n"
    "    outputs: {groups: \"${ .saved.groups }\"}\n"
    "  expel:\n"
    "    effect: revoke\n"
    "    requests: [{delete: \"/members/${ .ids.vendor }\"}]\n"
    "    verify:\n"
    "      get: /members\n"
    "      pages: {next: \"${ .body.next }\"}\n"
    "      expect: \"${ .ids.vendor as $me | .body.members | all(.[]; . != $me) }\"\n"
    "      within: 100ms\n"
    "  unassign:\n"
    "    effect: revoke\n"
    "    requests: [{delete: \"/assignments/${ .ids.vendor }\"}]\n"
    "    verify:\n"
    "      - get: \"/users/${ .ids.vendor }\"\n"
    "        save: {state: \"${ .body.state }\"}\n"
    "        expect: \"${ .status == 200 or .status == 404 }\"\n"
    "        within: 100ms\n"
    "      - get: /apps\n"
    "        if: \"${ .saved.state != null }\"\n"
    "        pages: {next: \"${ .body.next }\"}\n"
    "        save: {apps: \"${ .body.apps }\"}\n"
    "        expect: \"${ .status == 200 }\"\n"
    "      - get: \"/apps/${ .item }\"\n"
    "        if: \"${ .saved.state != null }\"\n"
    "        for_each: \"${ .saved.apps }\"\n"
    "        expect: \"${ .body.scope == \\\"GROUP\\\" }\"\n"
    "  list:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - get: /list\n"
    "        query: {from: \"1\"}\n"
    "        pages: {query: {from: \"${ .body.to }\"}, more: \"${ .body.to != null }\"}\n"
    "        save: {all: \"${ .body.items }\"}\n"
    "    outputs: {all: \"${ .saved.all }\"}\n"
    "  ticket:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    once: true\n"
    "    settle: \"${ .settings.settle }\"\n"
    "    requests:\n"
    "      - post: /tickets\n"
    "        form: {title: \"${ .user.name }\", job: \"${ .job.id }\"}\n"
    "        save: {key: \"${ .body.key }\"}\n"
    "        find: {get: /tickets, query: {job: \"${ .job.id }\"}, expect: \"${ .body.key != null }\", save: {key: "
    "\"${ .body.key }\"}}\n"
    "    outputs: {key: \"${ .saved.key }\"}\n"
    "  open:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - {post: /doors, save: {door: \"${ .body.door }\"}}\n"
    "      - {get: \"/doors/${ .saved.door }\", save: {key: \"${ .body.key }\"}}\n"
    "    outputs: {key: \"${ .saved.key }\"}\n"
    "  restore:\n"
    "    effect: handover\n"
    "    requests:\n"
    "      - {put: \"/users/${ .ids.vendor }/role\", json: {role: \"${ .before.role }\"}}\n"
    "  echo:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    with: {path: {default: x}}\n"
    "    requests:\n"
    "      - {get: \"/echo/${ .with.path }/end\", text: true, save: {body: \"${ .body }\"}}\n"
    "    outputs: {body: \"${ .saved.body }\"}\n"
    "  wipe:\n"
    "    effect: destroy\n"
    "    requests:\n"
    "      - get: /devices/d1\n"
    "        require: {that: \"${ .body.owner == .user.email }\", why: \"device d1 is not ${ .user.email }'s\"}\n"
    "      - {post: /devices/d1/wipe, json: {why: left}}\n"
    "  wipe_later:\n"
    "    effect: destroy\n"
    "    requests:\n"
    "      - {get: /devices, save: {device: \"${ .body.id }\"}}\n"
    "      - {get: \"/devices/${ .saved.device }\", require: {that: \"${ .body.free }\", why: in use}}\n"
    "      - {post: /locks}\n"
    "      - {get: /locks, require: {that: \"${ .body.held }\", why: not held}}\n"
    "  wipe_all:\n"
    "    effect: destroy\n"
    "    requests:\n"
    "      - post: \"/devices/${ .item }/wipe\"\n"
    "        for_each: \"${ [\\\"d1\\\", \\\"d2\\\", \\\"d3\\\"] }\"\n"
    "        require: {get: \"/devices/${ .item }\", that: \"${ .body.owner == .user.email }\", why: "
    "\"somebody else's\", already: \"${ .body.wiped }\"}\n"
    "  transfer:\n"
    "    effect: handover\n"
    "    requests:\n"
    "      - {post: /transfers, json: {}, save: {id: \"${ .body.id }\"}}\n"
    "      - get: \"/transfers/${ .saved.id }\"\n"
    "        poll: {every: 10m, timeout: 48h, until: \"${ .body.state == \\\"done\\\" }\", failed: \"${ .body.state == "
    "\\\"failed\\\" }\"}\n"
    "    outputs: {id: \"${ .saved.id }\"}\n"
    "  transfer_slowly:\n"
    "    effect: handover\n"
    "    requests:\n"
    "      - {post: /transfers, json: {}, save: {id: \"${ .body.id }\"}}\n"
    "      - get: \"/transfers/${ .saved.id }\"\n"
    "        poll: {every: 1m, up_to: 2h, timeout: 36500d, until: \"${ .body.state == \\\"done\\\" }\"}\n"
    "  lock_all:\n"
    "    effect: revoke\n"
    "    requests:\n"
    "      - post: \"/lock/${ .item }\"\n"
    "        for_each: \"${ [\\\"a\\\", \\\"b\\\"] }\"\n"
    "        require:\n"
    "          - {get: \"/owner/${ .item }\", that: \"${ .body.mine }\", why: \"somebody else's\"}\n"
    "          - {use: orders, already: \"${ .body.pending }\", that: \"${ .status == 200 }\"}\n"
    "  leave_all:\n"
    "    effect: revoke\n"
    "    before: {groups: \"${ .saved.groups }\"}\n"
    "    requests:\n"
    "      - {get: /groups, save: {groups: \"${ .body.groups }\"}}\n"
    "      - {delete: \"/groups/${ .item }\", for_each: \"${ .saved.groups }\"}\n"
    "  lock:\n"
    "    effect: revoke\n"
    "    derive: {pin: {digits: 6}}\n"
    "    requests:\n"
    "      - {post: /lock, json: {pin: \"${ .derived.pin }\"}, save: {said: \"${ .body.said }\"}}\n"
    "    outputs: {said: \"${ .saved.said }\"}\n"
    "  lock_kept:\n"
    "    effect: revoke\n"
    "    derive: {pin: {digits: 6}}\n"
    "    escrow: {pin: \"${ .derived.pin }\", of: \"${ .saved.of }\"}\n"
    "    requests:\n"
    "      - {get: /device, save: {of: \"${ .body.of }\"}}\n"
    "      - {post: /lock, json: {pin: \"${ .derived.pin }\"}}\n"
    "      - {post: /tell, json: {}}\n"
    "  find_boss:\n"
    "    effect: identify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - {get: /boss, save: {email: \"${ .body.email }\"}}\n"
    "    outputs: {user: {manager: {email: \"${ .saved.email }\"}}}\n"
    "    provides: [user.manager]\n"
    "  use:\n"
    "    effect: notify\n"
    "    accounts: none\n"
    "    requests:\n"
    "      - {get: /used, use: [busy, elsewhere], query: {mine: \"yes\"}}\n";

static void write_file(const char *directory, const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    free(path);
}

/* `settings` and `options` stand in the configuration's maps `systems.vendor` and `worker`. */
static int load(struct engine_stand *stand, const char *text, const char *settings, const char *options,
                struct err *err)
{
    char template[] = "/tmp/offboard-engine-XXXXXX";
    stand->directory = mem_strdup(mkdtemp(template));
    char *conf = mem_printf("definitions: {connectors: [%s]}\n"
                            "guards: {protected: [\"vendor:u-protected\", ceo@example.com]}\n"
                            "systems: {vendor: {url: \"http://127.0.0.1:%d\", %s}}\n"
                            "worker: {derive_key: 0123456789abcdef0123456789abcdef, %s}\n",
                            stand->directory, vendor_stub_port(stand->vendor), settings,
                            *options ? options : "circuit_failures: 50, retry_wait: 1500ms");
    write_file(stand->directory, "vendor.yaml", text);
    write_file(stand->directory, "conf", conf);
    free(conf);
    char *path = mem_printf("%s/conf", stand->directory);
    stand->conf = conf_load(path, err);
    free(path);
    const char *systems[] = {"vendor", NULL};
    const struct definition_use use = {.connectors = systems};
    stand->definitions = stand->conf ? definitions_load_or_fail(stand->conf, &use, err) : NULL;
    stand->engine = stand->definitions ? engine_new(&stand->loop, stand->conf, stand->definitions, systems, err) : NULL;
    return stand->engine ? 0 : -1;
}

static struct engine_stand *prepare(void)
{
    struct engine_stand *stand = MEM_NEW(struct engine_stand);
    uv_loop_init(&stand->loop);
    stand->vendor = vendor_stub_start(&stand->loop);
    return stand;
}

struct engine_stand *engine_stand_with(const char *text, const char *settings, const char *options)
{
    struct engine_stand *stand = prepare();
    struct err err = ERR_INIT;
    if (load(stand, text, settings, options, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    return stand;
}

struct engine_stand *engine_stand_new(const char *options)
{
    return engine_stand_with(connector, "token: " ENGINE_STAND_TOKEN, options);
}

char *engine_stand_refusal(const char *text, const char *settings)
{
    struct engine_stand *stand = prepare();
    struct err err = ERR_INIT;
    load(stand, text, settings, "", &err);
    char *why = stand->engine ? NULL : mem_strdup(err_text(&err));
    err_release(&err);
    engine_stand_free(stand);
    return why;
}

void engine_stand_free(struct engine_stand *stand)
{
    engine_free(stand->engine);
    vendor_stub_stop(stand->vendor);
    uv_run(&stand->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stand->loop), 0);
    definitions_free(stand->definitions);
    conf_free(stand->conf);
    static const char *const files[] = {"vendor.yaml", "conf"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *path = mem_printf("%s/%s", stand->directory, files[i]);
        unlink(path);
        free(path);
    }
    rmdir(stand->directory);
    free(stand->directory);
    free(stand);
    fibers_release();
    metrics_release();
}

/* ---- trials ------------------------------------------------------------------------------------------------------ */

static int on_begin(struct job *job)
{
    struct trial *trial = job->owner;
    trial->begins++;
    return trial->lost ? -1 : 0;
}

static int on_before(struct job *job, const json_t *image, const json_t *sealed)
{
    struct trial *trial = job->owner;
    json_decref(trial->image);
    trial->image = json_deep_copy(image);
    json_decref(trial->sealed);
    trial->sealed = json_deep_copy(sealed);
    trial->images++;
    return trial->unrecorded ? -1 : 0;
}

static void on_held(struct job *job, bool held)
{
    struct trial *trial = job->owner;
    assert_int_not_equal(trial->holds, held);
    trial->holds = held;
    trial->held += held;
}

static json_t *parsed(const char *text)
{
    struct err err = ERR_INIT;
    json_t *value = text ? json_parse(text, strlen(text), &err) : json_object();
    if (!value) {
        fail_msg("%s: %s", text, err_text(&err));
    }
    return value;
}

/* A state of a test is one that the stand's own connector wrote, unless it says otherwise. */
static void mark_state(const struct engine_stand *stand, const char *action, json_t *state)
{
    const json_t *tree = engine_system(stand->engine, "vendor")->connector->tree;
    const json_t *requests = json_object_get(json_object_get(json_object_get(tree, "actions"), action), "requests");
    if (json_is_object(state) && !json_object_get(state, "requests")) {
        char *mark = state_mark(requests);
        json_put_string(state, "requests", mark);
        free(mark);
    }
}

struct trial *trial_new(struct engine_stand *stand, const char *action, const char *offboarding, const char *job)
{
    static int number;
    struct trial *trial = MEM_NEW(struct trial);
    char *id = mem_printf("offboarding-%d", ++number); /* what one trial found is not known to the next */
    json_t *message = json_pack("{s:s, s:{s:s, s:s}, s:{s:[s]}, s:s}", "id", id, "user", "name", "Ann Leaver", "email",
                                "ann@example.com", "ids", "vendor", "u1", "mode", "live");
    json_t *own =
        json_pack("{s:s, s:s, s:s, s:{}, s:n}", "id", "job-1", "action", action, "system", "vendor", "with", "state");
    json_t *laid = parsed(offboarding);
    json_object_update(message, laid);
    json_decref(laid);
    laid = parsed(job);
    json_object_update(own, laid);
    json_decref(laid);
    mark_state(stand, action, json_object_get(own, "state"));
    json_object_set_new(message, "job", own);
    trial->stand = stand;
    trial->job =
        (struct job){.message = message, .system = "vendor", .begin = on_begin, .before = on_before, .held = on_held};
    trial->job.owner = trial;
    free(id);
    return trial;
}

static void run(void *arg)
{
    struct trial *trial = arg;
    engine_run(trial->stand->engine, &trial->job, &trial->result);
    trial->ended = true;
    if (trial->waits) {
        uv_stop(&trial->stand->loop); /* it may have ended in a timer: the loop would wait for what never comes */
    }
}

void trial_start(struct trial *trial)
{
    fiber_start(run, trial);
}

void trial_finish(struct trial *trial)
{
    trial->waits = true;
    while (!trial->ended) {
        uv_run(&trial->stand->loop, UV_RUN_ONCE);
    }
}

void trial_free(struct trial *trial)
{
    engine_result_release(&trial->result);
    json_decref(trial->image);
    json_decref(trial->sealed);
    json_decref(trial->job.message);
    free(trial);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void check_due(const struct engine_row *row, const struct trial *trial)
{
    int64_t due_at = 0;
    const char *text = json_string_at(trial->result.context, "due_at");
    if (!text || time_parse(text, &due_at, NULL) != 0) {
        fail_msg("%s: no due_at", row->title);
    }
    int64_t wait = (due_at - time_now()) / TIME_SECOND;
    if (wait < row->due_after || wait > row->due_before) {
        fail_msg("%s: due in %lld s", row->title, (long long)wait);
    }
}

static void check_facts(const struct engine_row *row, const struct trial *trial)
{
    for (size_t i = 0; i < FACTS_MAX && row->facts[i].path; i++) {
        const json_t *value = json_at(trial->result.context, row->facts[i].path);
        char *text = value ? json_text(value) : mem_strdup("absent");
        if (strcmp(text, row->facts[i].value) != 0) {
            fail_msg("%s: %s is %s (%s)", row->title, row->facts[i].path, text, trial->result.message);
        }
        free(text);
    }
}

void engine_stand_check(struct engine_stand *stand, const struct engine_row *row)
{
    struct trial *trial = trial_new(stand, row->action, row->offboarding, row->job);
    vendor_stub_script(stand->vendor, row->exchanges);
    trial_start(trial);
    trial_finish(trial);
    const char *complaint = vendor_stub_complaint(stand->vendor);
    if (complaint || strcmp(trial->result.outcome, row->outcome) != 0) {
        fail_msg("%s: %s (%s); %s", row->title, trial->result.outcome, trial->result.message,
                 complaint ? complaint : "requests as written");
    }
    if (row->said) {
        assert_contains(trial->result.message, row->said);
    }
    check_facts(row, trial);
    if (row->due_before) {
        check_due(row, trial);
    }
    if (trial->begins != row->begins) {
        fail_msg("%s: begun %d times", row->title, trial->begins);
    }
    assert_false(trial->result.abandoned);
    trial_free(trial);
}
