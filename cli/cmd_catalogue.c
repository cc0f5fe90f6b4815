/* offboard runbooks, offboard sources: what there is, what starts it, what it lacks in this configuration, and how often it was used. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/systems.h"
#include "lib/buf.h"
#include "lib/definition.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/runbook.h"
#include "lib/source_settings.h"

enum { HASH_SHOWN = 8 };

static struct {
    bool json;
} opt;

/* ---- what a definition says -------------------------------------------------------------------------------------------- */

static json_t *short_hash(const struct definition *definition)
{
    return json_stringn(definition->hash, HASH_SHOWN);
}

/* The items of a list of texts: "okta, google"; null when there are none. New reference. */
static json_t *joined(const json_t *texts)
{
    struct buf text = BUF_INIT;
    size_t i;
    json_t *one;
    json_array_foreach(texts, i, one)
    {
        buf_addf(&text, "%s%s", i ? ", " : "", json_string_value(one));
    }
    json_t *all = text.len ? json_string(buf_text(&text)) : json_null();
    buf_release(&text);
    return all;
}

static json_t *phases_of(const struct definition *runbook)
{
    json_t *list = json_array();
    size_t i;
    json_t *phase;
    json_array_foreach(json_object_get(runbook->tree, "phases"), i, phase)
    {
        const char *after = json_string_at(phase, "after");
        json_array_append_new(list, json_sprintf("%s%s%s%s", json_string_at(phase, "name"), after ? " (after " : "",
                                                 after ? after : "", after ? ")" : ""));
    }
    return list;
}

/* ---- which source starts which runbook ------------------------------------------------------------------------------------ */

struct choice {
    const struct definitions *definitions;
    json_t *settings; /* of the source */
    json_t *names;    /* of runbooks */
    bool any;         /* the event may name one */
};

static void add_runbook(const struct choice *choice, const char *name)
{
    if (name && definition_find(choice->definitions, DEFINITION_RUNBOOK, name)) {
        json_append_once(choice->names, name);
    }
}

static void add_path(const struct expr_path *path, void *arg)
{
    struct choice *choice = arg;
    const char *setting = expr_path_within(path, "settings") ? expr_path_name(path, 1) : NULL;
    if (setting) {
        add_runbook(choice, json_string_value(json_object_get(choice->settings, setting)));
    }
    choice->any = choice->any || expr_path_within(path, "data.runbook");
}

/* A name, or an expression that has names in quotes. */
static void add_text(struct choice *choice, const char *text)
{
    add_runbook(choice, text);
    expr_paths(text, add_path, choice);
    for (size_t i = 0; i < definition_count(choice->definitions, DEFINITION_RUNBOOK); i++) {
        const char *name = definition_item(choice->definitions, DEFINITION_RUNBOOK, i)->name;
        char *quoted = mem_printf("\"%s\"", name);
        if (strstr(text, quoted)) {
            json_append_once(choice->names, name);
        }
        free(quoted);
    }
}

static void add_texts(struct choice *choice, const json_t *value)
{
    const char *key;
    size_t i;
    json_t *member;
    if (json_is_string(value)) {
        add_text(choice, json_string_value(value));
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        add_texts(choice, member);
    }
    json_array_foreach(value, i, member)
    {
        add_texts(choice, member);
    }
}

/* Those that its `map.runbook` names, literally or by a setting; `*any` (may be NULL): an event may name another one. New reference. */
static json_t *runbooks_of(const struct definitions *definitions, const struct conf *conf,
                           const struct definition *source, bool *any)
{
    struct choice choice = {definitions, source_settings(source, conf), json_array(), false};
    add_texts(&choice, json_at(source->tree, "map.runbook"));
    json_decref(choice.settings);
    if (any) {
        *any = choice.any;
    }
    return choice.names;
}

static json_t *sources_that_start(const struct definitions *definitions, const struct conf *conf, const char *runbook)
{
    json_t *list = json_array();
    for (size_t i = 0; i < definition_count(definitions, DEFINITION_SOURCE); i++) {
        const struct definition *source = definition_item(definitions, DEFINITION_SOURCE, i);
        bool any = false;
        json_t *names = runbooks_of(definitions, conf, source, &any);
        size_t j;
        json_t *name;
        json_array_foreach(names, j, name)
        {
            any = any || strcmp(json_string_value(name), runbook) == 0;
        }
        if (any) {
            json_array_append_new(list, json_string(source->name));
        }
        json_decref(names);
    }
    return list;
}

/* ---- what the configuration lacks --------------------------------------------------------------------------------------- */

/* Settings that a source needs and the configuration does not have: the secret ones. */
static json_t *unset_of(const struct conf *conf, const struct definition *source)
{
    json_t *list = json_array();
    json_t *secrets = source_secrets(source, conf);
    const char *name;
    json_t *values;
    json_object_foreach(secrets, name, values)
    {
        if (json_array_size(values) == 0) {
            json_array_append_new(list, json_string(name));
        }
    }
    json_decref(secrets);
    return list;
}

/* ---- use ----------------------------------------------------------------------------------------------------------------- */

/* Counts the offboardings of the last 90 days by `column`: {<name>: {offboardings, last}}. NULL when no database is configured, or it does
 * not answer. */
static json_t *use_by(struct cli *cli, const char *column)
{
    if (!conf_string(cli->conf, "postgres.analyst")) {
        return NULL;
    }
    struct err err = ERR_INIT;
    char *sql = mem_printf("SELECT jsonb_build_object('name', o.%s, 'offboardings', count(*), 'last', "
                           "max(o.received_at)) FROM analyst.offboardings o"
                           " WHERE o.received_at > now() - interval '90 days' GROUP BY o.%s",
                           column, column);
    json_t *rows = cli_rows(cli, &err, sql, 0, NULL);
    free(sql);
    if (!rows) {
        fprintf(stderr, "offboard: how often they were used is not known: %s\n", err_text(&err));
        err_release(&err);
        return NULL;
    }
    json_t *by_name = json_object();
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        json_object_set(by_name, json_string_at(row, "name"), row);
    }
    json_decref(rows);
    return by_name;
}

static void put_use(json_t *row, const json_t *use, const char *name)
{
    const json_t *own = json_object_get(use, name);
    json_put(row, "used",
             own   ? json_incref(json_object_get(own, "offboardings"))
             : use ? json_integer(0)
                   : json_null());
    json_put(row, "last", own ? json_incref(json_object_get(own, "last")) : json_null());
}

/* ---- the commands -------------------------------------------------------------------------------------------------------- */

/* Lists become texts in the table; JSON keeps them. */
static void show(json_t *rows, const char *const *lists, const char *columns)
{
    size_t i;
    json_t *row;
    if (opt.json) {
        cli_print_json(rows);
        return;
    }
    json_array_foreach(rows, i, row)
    {
        for (const char *const *list = lists; *list; list++) {
            json_put(row, *list, joined(json_object_get(row, *list)));
        }
    }
    cli_print_table(rows, columns);
}

static json_t *runbook_row(struct cli *cli, const struct definitions *definitions, const struct definition *runbook)
{
    json_t *systems = systems_of_runbook(definitions, runbook);
    return json_pack("{s:s, s:o, s:O?, s:o, s:o, s:o, s:o, s:s}", "runbook", runbook->name, "hash", short_hash(runbook),
                     "description", json_object_get(runbook->tree, "description"), "started_by",
                     sources_that_start(definitions, cli->conf, runbook->name), "phases", phases_of(runbook),
                     "not_configured", systems_missing(cli->conf, systems), "systems", systems, "file", runbook->file);
}

static json_t *source_row(struct cli *cli, const struct definitions *definitions, const struct definition *source)
{
    json_t *types = json_array();
    const char *type;
    json_t *kind;
    json_object_foreach(json_object_get(source->tree, "types"), type, kind)
    {
        json_array_append_new(types, json_string(type));
    }
    return json_pack("{s:s, s:o, s:O?, s:o, s:o, s:o, s:s}", "source", source->name, "hash", short_hash(source),
                     "description", json_object_get(source->tree, "description"), "types", types, "runbooks",
                     runbooks_of(definitions, cli->conf, source, NULL), "not_set", unset_of(cli->conf, source), "file",
                     source->file);
}

static int list(struct cli *cli, enum definition_kind kind,
                json_t *(*row_of)(struct cli *, const struct definitions *, const struct definition *),
                const char *const *lists, const char *columns)
{
    struct err err = ERR_INIT;
    struct definitions *definitions = definitions_load_or_fail(cli->conf, &(struct definition_use){0}, &err);
    if (!definitions) {
        return cli_fail_err(CLI_USAGE, &err);
    }
    json_t *rows = json_array();
    json_t *use = use_by(cli, definition_kind_name(kind));
    for (size_t i = 0; i < definition_count(definitions, kind); i++) {
        const struct definition *definition = definition_item(definitions, kind, i);
        json_t *row = row_of(cli, definitions, definition);
        put_use(row, use, definition->name);
        json_array_append_new(rows, row);
    }
    show(rows, lists, columns);
    json_decref(use);
    json_decref(rows);
    definitions_free(definitions);
    return CLI_OK;
}

static int runbooks_run(struct cli *cli, int argc, char **argv)
{
    static const char *const lists[] = {"started_by", "phases", "systems", "not_configured", NULL};
    (void)argv;
    return argc ? cli_fail(CLI_USAGE, "usage: offboard runbooks [--json]")
                : list(cli, DEFINITION_RUNBOOK, runbook_row, lists,
                       "runbook hash started_by phases not_configured used last");
}

static int sources_run(struct cli *cli, int argc, char **argv)
{
    static const char *const lists[] = {"types", "runbooks", "not_set", NULL};
    (void)argv;
    return argc ? cli_fail(CLI_USAGE, "usage: offboard sources [--json]")
                : list(cli, DEFINITION_SOURCE, source_row, lists, "source hash runbooks types not_set used last");
}

#define OPTIONS                                                                                                        \
    (const struct cli_option[])                                                                                        \
    {                                                                                                                  \
        {"json", NULL, "with descriptions, systems and files", NULL, &opt.json}, {NULL, NULL, NULL, NULL, NULL},       \
    }

const struct command command_runbooks = {
    .name = "runbooks",
    .arguments = "",
    .summary = "Lists the runbooks: what starts each, its phases, the systems that are not configured here, its use.",
    .details = "STARTED BY are the sources whose file or settings name it, and those whose events name one. USED "
               "counts offboardings of the\n"
               "last 90 days, where a database is configured. HASH is the beginning of "
               "the file's\n"
               "SHA-256: plans name the whole of it.",
    .options = OPTIONS,
    .run = runbooks_run,
};

const struct command command_sources = {
    .name = "sources",
    .arguments = "",
    .summary = "Lists the sources of HR events: the events each takes, the secrets that are not set here, its use.",
    .details = "RUNBOOKS are those that it starts, as its file and its settings say; \"-\": the event names one, or it "
               "starts none.\n"
               "USED counts offboardings of the last 90 days, where a database is configured.",
    .options = OPTIONS,
    .run = sources_run,
};
