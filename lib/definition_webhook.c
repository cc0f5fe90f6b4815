/* What is checked of a source that takes requests: its settings, how a request becomes events, and what is answered. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/definition_check.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/signature.h"

static const struct check_key setting_keys[] = {
    {"secret", CHECK_BOOL, false},
    {"list", CHECK_BOOL, false},
    {"default", CHECK_ANY, false},
    {"help", CHECK_TEXT, false},
};

static const struct check_key challenge_keys[] = {
    {"header", CHECK_TEXT, false},
    {"if", CHECK_PREDICATE, false},
    {"answer", CHECK_MAP, true},
};

static const struct check_key event_keys[] = {
    {"id", CHECK_TEMPLATE, true},
    {"type", CHECK_TEMPLATE, true},
    {"time", CHECK_TEMPLATE, false},
    {"data", CHECK_ANY, false},
};

static const struct check_key authorize_keys[] = {
    {"that", CHECK_PREDICATE, true},
    {"why", CHECK_TEMPLATE, true},
};

static const struct check_key reply_keys[] = {
    {"status", CHECK_COUNT, false},
    {"body", CHECK_MAP, false},
};

static const struct check_key answer_keys[] = {
    {"status", CHECK_COUNT, false},
    {"body", CHECK_MAP, false},
    {"refused", CHECK_MAP, false},
    {"unavailable", CHECK_MAP, false},
};

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static void check_settings(struct check *check, const json_t *settings)
{
    const char *name;
    json_t *setting;
    json_object_foreach((json_t *)(uintptr_t)settings, name, setting)
    {
        char *at = mem_printf("/settings/%s", name);
        if (check_map(check, at, setting, setting_keys, COUNT_OF(setting_keys)) && json_true_at(setting, "secret") &&
            json_object_get(setting, "default")) {
            check_problem(check, at, "setting \"%s\" is secret: a default would be known to everybody", name);
        }
        free(at);
    }
}

/* ---- what expressions read --------------------------------------------------------------------------------------- */

static void read_setting(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    const json_t *settings = json_object_get(check->definition->tree, "settings");
    const char *name = check_path_member(path, "settings");
    const json_t *setting = name ? json_object_get(settings, name) : NULL;
    if (name && !setting) {
        char *hint = check_hint_keys(name, settings);
        check_problem(check, pointer, "there is no setting \"%s\"%s", name, hint);
        free(hint);
    } else if (setting && json_true_at(setting, "secret")) {
        check_problem(check, pointer, "setting \"%s\" is secret: no expression sees it", name);
    }
}

static void read_request(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    static const char *const members[] = {"body", "data", "headers", "settings"};
    check_member(check, pointer, path, 0, members, COUNT_OF(members));
}

static void read_challenge(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    static const char *const members[] = {"body", "challenge", "headers", "settings"};
    check_member(check, pointer, path, 0, members, COUNT_OF(members));
}

static void read_answer(struct check *check, const char *pointer, const struct expr_path *path, void *arg)
{
    (void)arg;
    static const char *const members[] = {"body", "data", "decision", "headers", "outcome", "settings", "type", "why"};
    check_member(check, pointer, path, 0, members, COUNT_OF(members));
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void check_challenge(struct check *check, const json_t *challenge)
{
    if (!json_is_object(challenge) ||
        !check_map(check, "/challenge", challenge, challenge_keys, COUNT_OF(challenge_keys))) {
        return;
    }
    if (!json_object_get(challenge, "header") == !json_object_get(challenge, "if")) {
        check_problem(check, "/challenge",
                      "a challenge has \"header\" (of a GET) or \"if\" (over a signed POST), one of them");
    }
    check_expressions(check, "/challenge/answer", json_object_get(challenge, "answer"));
    check_paths(check, "/challenge", challenge, read_challenge, NULL);
}

static void check_event(struct check *check, const json_t *event)
{
    if (json_is_object(event) && check_map(check, "/event", event, event_keys, COUNT_OF(event_keys))) {
        check_expressions(check, "/event/data", json_object_get(event, "data"));
        check_paths(check, "/event", event, read_request, NULL);
    }
}

static void check_authorize(struct check *check, const json_t *authorize)
{
    size_t i;
    json_t *rule;
    if (json_is_object(authorize)) {
        check_map(check, "/authorize", authorize, authorize_keys, COUNT_OF(authorize_keys));
    } else if (authorize && !json_is_array(authorize)) {
        check_problem(check, "/authorize", "\"authorize\" is {that, why}, or a list of them");
    }
    json_array_foreach(authorize, i, rule)
    {
        char *at = mem_printf("/authorize/%zu", i);
        check_map(check, at, rule, authorize_keys, COUNT_OF(authorize_keys));
        free(at);
    }
}

static void check_reply(struct check *check, const char *pointer, const json_t *reply)
{
    char *at = mem_printf("%s/status", pointer);
    const json_t *status = json_object_get(reply, "status");
    if (status && (!json_is_integer(status) || json_integer_value(status) < 200 || json_integer_value(status) > 599)) {
        check_problem(check, at, "\"status\" must be from 200 to 599");
    }
    free(at);
    at = mem_printf("%s/body", pointer);
    check_expressions(check, at, json_object_get(reply, "body"));
    check_paths(check, at, json_object_get(reply, "body"), read_answer, NULL);
    free(at);
}

static void check_answer(struct check *check, const json_t *answer)
{
    static const char *const kinds[] = {"refused", "unavailable"};
    if (!json_is_object(answer) || !check_map(check, "/answer", answer, answer_keys, COUNT_OF(answer_keys))) {
        return;
    }
    check_reply(check, "/answer", answer);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const json_t *reply = json_object_get(answer, kinds[i]);
        char *at = mem_printf("/answer/%s", kinds[i]);
        if (json_is_object(reply) && check_map(check, at, reply, reply_keys, COUNT_OF(reply_keys))) {
            check_reply(check, at, reply);
        }
        free(at);
    }
}

/* These say something of requests, which only a source that can tell its senders takes. */
static void check_open(struct check *check, const json_t *tree)
{
    static const char *const words[] = {"challenge", "events", "answer"};
    bool open = signature_declared(tree);
    for (size_t i = 0; i < COUNT_OF(words) && !open; i++) {
        if (json_object_get(tree, words[i])) {
            char *at = mem_printf("/%s", words[i]);
            check_problem(check, at, "\"%s\" needs \"signature\", \"token\" or \"jwt\": who may send?", words[i]);
            free(at);
        }
    }
    if (json_object_get(tree, "events") && !json_object_get(tree, "event")) {
        check_problem(check, "/events", "\"events\" needs \"event\": which id and type has each?");
    }
}

void check_webhook(struct check *check)
{
    const json_t *tree = check->definition->tree;
    check_settings(check, json_object_get(tree, "settings"));
    check_open(check, tree);
    check_challenge(check, json_object_get(tree, "challenge"));
    check_event(check, json_object_get(tree, "event"));
    check_authorize(check, json_object_get(tree, "authorize"));
    check_answer(check, json_object_get(tree, "answer"));
    check_paths(check, "/events", json_object_get(tree, "events"), read_request, NULL);
    check_paths(check, "", tree, read_setting, NULL);
}
