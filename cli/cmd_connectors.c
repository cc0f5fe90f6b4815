/* offboard connectors: what the connectors can do, from their files: for people, for programs, and as the page
 * worker/connectors/README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/definition.h"
#include "lib/json.h"
#include "lib/mem.h"

static struct {
    bool json, markdown;
} opt;

/* ---- what a connector says --------------------------------------------------------------------------------------- */

/* New reference: the member's value, `otherwise` (taken over) when it says nothing. */
static json_t *said(const json_t *object, const char *name, json_t *otherwise)
{
    json_t *value = json_object_get(object, name);
    if (!value) {
        return otherwise;
    }
    json_decref(otherwise);
    return json_incref(value);
}

/* Settings of a connector, parameters of an action: [{name, required, secret, default, help}]. */
static json_t *values_of(const json_t *declared, bool secrets)
{
    json_t *list = json_array();
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)declared, name, value)
    {
        json_t *row =
            json_pack("{s:s, s:o, s:o, s:o}", "name", name, "required", said(value, "required", json_false()),
                      "default", said(value, "default", json_null()), "help", said(value, "help", json_null()));
        if (secrets) {
            json_object_set_new(row, "secret", said(value, "secret", json_false()));
        }
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *actions_of(const json_t *declared)
{
    json_t *list = json_array();
    const char *name;
    json_t *action;
    json_object_foreach((json_t *)(uintptr_t)declared, name, action)
    {
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "name", name, "effect",
                                              said(action, "effect", json_null()), "description",
                                              said(action, "description", json_null()), "with",
                                              values_of(json_object_get(action, "with"), false), "undo",
                                              said(action, "undo", json_null()), "verified",
                                              json_object_get(action, "verify") != NULL, "unverified",
                                              said(action, "unverified", json_null()), "once",
                                              said(action, "once", json_false())));
    }
    return list;
}

static json_t *describe(const struct definition *connector)
{
    const json_t *tree = connector->tree;
    return json_pack("{s:s, s:o, s:s, s:o, s:o}", "system", connector->name, "description",
                     said(tree, "description", json_null()), "file", connector->file, "settings",
                     values_of(json_object_get(tree, "settings"), true), "actions",
                     actions_of(json_object_get(tree, "actions")));
}

static int by_name(const void *left, const void *right)
{
    const struct definition *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

/* All connectors by name, or only `system`. */
static json_t *describe_all(const struct definitions *definitions, const char *system)
{
    size_t count = definition_count(definitions, DEFINITION_CONNECTOR);
    const struct definition **sorted = mem_alloc((count + 1) * sizeof *sorted);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = definition_item(definitions, DEFINITION_CONNECTOR, i);
    }
    qsort(sorted, count, sizeof *sorted, by_name);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (!system || strcmp(sorted[i]->name, system) == 0) {
            json_array_append_new(list, describe(sorted[i]));
        }
    }
    free(sorted);
    return list;
}

/* ---- in words ---------------------------------------------------------------------------------------------------- */

/* How it is known that the action was done; the caller frees. */
static char *proof(const json_t *action)
{
    const char *effect = json_string_at(action, "effect");
    const char *why = json_string_at(action, "unverified");
    if (json_true_at(action, "verified")) {
        return mem_strdup("read back");
    }
    return why                                         ? mem_printf("no: %s", why)
           : effect && strcmp(effect, "identify") == 0 ? mem_strdup("it only reads")
                                                       : mem_strdup("no");
}

/* "required, secret", "default x" or "optional"; the caller frees. */
static char *need(const json_t *value)
{
    const json_t *preset = json_object_get(value, "default");
    const char *secret = json_true_at(value, "secret") ? ", secret" : "";
    if (json_true_at(value, "required")) {
        return mem_printf("required%s", secret);
    }
    bool empty = json_is_null(preset) || (json_is_string(preset) && json_string_length(preset) == 0);
    char *text = json_is_string(preset) ? mem_strdup(json_string_value(preset)) : json_text(preset);
    char *all = empty ? mem_printf("optional%s", secret) : mem_printf("default %s%s", text, secret);
    free(text);
    return all;
}

/* Rows that cli_print_table() lays out. */
static json_t *settings_rows(const json_t *settings)
{
    json_t *rows = json_array();
    size_t i;
    json_t *setting;
    json_array_foreach(settings, i, setting)
    {
        char *needed = need(setting);
        json_array_append_new(rows, json_pack("{s:O, s:s, s:O}", "setting", json_object_get(setting, "name"), "value",
                                              needed, "meaning", json_object_get(setting, "help")));
        free(needed);
    }
    return rows;
}

static json_t *actions_rows(const json_t *system, json_t *rows)
{
    size_t i;
    json_t *action;
    json_array_foreach(json_object_get(system, "actions"), i, action)
    {
        char *verified = proof(action);
        json_array_append_new(rows, json_pack("{s:O, s:O, s:O, s:O, s:s}", "system", json_object_get(system, "system"),
                                              "action", json_object_get(action, "name"), "effect",
                                              json_object_get(action, "effect"), "undo",
                                              json_object_get(action, "undo"), "verified", verified));
        free(verified);
    }
    return rows;
}

static void print_parameters(const json_t *action)
{
    size_t i;
    json_t *parameter;
    json_array_foreach(json_object_get(action, "with"), i, parameter)
    {
        char *needed = need(parameter);
        const char *help = json_string_at(parameter, "help");
        printf("      %s: %s%s%s\n", json_string_at(parameter, "name"), needed, help ? "; " : "", help ? help : "");
        free(needed);
    }
}

static void print_detail(const json_t *system)
{
    const char *description = json_string_at(system, "description");
    printf("%s%s%s\n%s\n\n", json_string_at(system, "system"), description ? ": " : "", description ? description : "",
           json_string_at(system, "file"));
    json_t *rows = settings_rows(json_object_get(system, "settings"));
    cli_print_table(rows, "setting value meaning");
    json_decref(rows);
    size_t i;
    json_t *action;
    json_array_foreach(json_object_get(system, "actions"), i, action)
    {
        const char *does = json_string_at(action, "description");
        const char *undo = json_string_at(action, "undo");
        char *verified = proof(action);
        printf("\n%s (%s)%s%s\n", json_string_at(action, "name"), json_string_at(action, "effect"), does ? ": " : "",
               does ? does : "");
        print_parameters(action);
        printf("      verified: %s; undo: %s\n", verified, undo ? undo : "none");
        free(verified);
    }
}

static void print_list(const json_t *systems)
{
    json_t *rows = json_array();
    size_t i;
    json_t *system;
    json_array_foreach(systems, i, system)
    {
        actions_rows(system, rows);
    }
    cli_print_table(rows, "system action effect undo verified");
    json_decref(rows);
    printf("\n`offboard connectors SYSTEM` tells more: the settings, and the actions' parameters.\n");
}

/* ---- as a page --------------------------------------------------------------------------------------------------- */

/* A cell of a Markdown table; code where `code` says so, "–" for nothing. */
static void print_cell(const char *text, bool code)
{
    bool empty = !text || !*text;
    printf(" %s", code && !empty ? "`" : "");
    for (const char *c = empty ? "–" : text; *c; c++) {
        if (*c == '|') {
            putchar('\\');
        }
        putchar(*c == '\n' ? ' ' : *c);
    }
    printf("%s |", code && !empty ? "`" : "");
}

static void print_markdown_settings(const json_t *settings)
{
    if (json_array_size(settings) == 0) {
        return;
    }
    printf("\n| setting | needed | meaning |\n|---|---|---|\n");
    size_t i;
    json_t *setting;
    json_array_foreach(settings, i, setting)
    {
        char *needed = need(setting);
        bool preset = strncmp(needed, "default ", strlen("default ")) == 0;
        printf("|");
        print_cell(json_string_at(setting, "name"), true);
        print_cell(needed, preset);
        print_cell(json_string_at(setting, "help"), false);
        printf("\n");
        free(needed);
    }
}

static void print_markdown_system(const json_t *system)
{
    const char *description = json_string_at(system, "description");
    printf("\n## %s\n\n%s\n", json_string_at(system, "system"), description ? description : "");
    print_markdown_settings(json_object_get(system, "settings"));
    printf("\n| action | effect | what it does | undo | verified |\n|---|---|---|---|---|\n");
    size_t i;
    json_t *action;
    json_array_foreach(json_object_get(system, "actions"), i, action)
    {
        char *verified = proof(action);
        printf("|");
        print_cell(json_string_at(action, "name"), true);
        print_cell(json_string_at(action, "effect"), false);
        print_cell(json_string_at(action, "description"), false);
        print_cell(json_string_at(action, "undo"), true);
        print_cell(verified, false);
        printf("\n");
        free(verified);
    }
}

static void print_markdown(const json_t *systems)
{
    printf(
        "# Connectors\n\n"
        "What each connector does, what takes it back, and how it is known to be done. A setting is configured as\n"
        "`systems.<system>.<setting>`. [What the words mean](../../docs/connectors.md); `offboard connectors SYSTEM` "
        "shows the\nactions' parameters, too.\n\n"
        "This page is generated from the files beside it by `make worker/connectors/README.md`.\n");
    size_t i;
    json_t *system;
    json_array_foreach(systems, i, system)
    {
        print_markdown_system(system);
    }
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int unknown_system(const struct definitions *definitions, const char *system)
{
    const char *near = definition_nearest(definitions, DEFINITION_CONNECTOR, system);
    return cli_fail(CLI_NOT_FOUND, "there is no connector for system \"%s\"%s%s%s", system,
                    near ? "; did you mean \"" : "; `offboard connectors` lists them", near ? near : "",
                    near ? "\"?" : "");
}

static int show(const struct definitions *definitions, const char *system)
{
    if (system && !definition_find(definitions, DEFINITION_CONNECTOR, system)) {
        return unknown_system(definitions, system);
    }
    json_t *systems = describe_all(definitions, system);
    if (opt.json) {
        cli_print_json(system ? json_array_get(systems, 0) : systems);
    } else if (opt.markdown) {
        print_markdown(systems);
    } else if (system) {
        print_detail(json_array_get(systems, 0));
    } else {
        print_list(systems);
    }
    json_decref(systems);
    return CLI_OK;
}

static int connectors_run(struct cli *cli, int argc, char **argv)
{
    if (argc > 1 || (opt.json && opt.markdown)) {
        return cli_fail(CLI_USAGE, "usage: offboard connectors [SYSTEM] [--json | --markdown]");
    }
    struct definition_problems problems = {0};
    struct err err = ERR_INIT;
    struct definitions *definitions = definitions_load(cli->conf, &problems, &err);
    definition_problems_release(&problems); /* `offboard validate` tells of them */
    if (!definitions) {
        return cli_fail_err(CLI_USAGE, &err);
    }
    int code = show(definitions, argc == 1 ? argv[0] : NULL);
    definitions_free(definitions);
    return code;
}

const struct command command_connectors = {
    .name = "connectors",
    .arguments = "[SYSTEM]",
    .summary = "Lists the systems' actions: effect, undo, how they are verified; of one system the settings, too.",
    .details = "Read from the files, offline; your own connectors are among them.\n\n"
               "  offboard connectors\n"
               "  offboard connectors jira",
    .options =
        (const struct cli_option[]){
            {"json", NULL, "everything, as {system, description, file, settings, actions}", NULL, &opt.json},
            {"markdown", NULL, "the page worker/connectors/README.md", NULL, &opt.markdown},
            {NULL, NULL, NULL, NULL, NULL}},
    .run = connectors_run,
};
