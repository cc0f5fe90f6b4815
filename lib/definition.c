#include "lib/definition.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/definition_check.h"
#include "lib/definition_request.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/nearest.h"
#include "lib/shipped.h"
#include "lib/yaml.h"

enum { KINDS = 3 };

static const struct {
    const char *name;      /* as in messages */
    const char *word;      /* the key that names the definition */
    const char *directory; /* shipped_directory() */
    const char *option;    /* the customer's directories */
} kinds[KINDS] = {
    {"source", "source", "sources", "definitions.sources"},
    {"runbook", "runbook", "runbooks", "definitions.runbooks"},
    {"connector", "system", "connectors", "definitions.connectors"},
};

struct definitions {
    struct definition **items[KINDS];
    size_t count[KINDS];
    struct expr_set *exprs;
};

const char *definition_kind_name(enum definition_kind kind)
{
    return kinds[kind].name;
}

static void definition_free(struct definition *definition)
{
    if (definition) {
        free(definition->name);
        free(definition->file);
        free(definition->text);
        json_decref(definition->tree);
        json_decref(definition->lines);
        free(definition);
    }
}

/* ---- one file -------------------------------------------------------------------------------------------------------- */

void definition_problems_add(struct definition_problems *problems, const char *file, int line, const char *text)
{
    problems->items = mem_realloc(problems->items, (problems->count + 1) * sizeof *problems->items);
    problems->items[problems->count++] =
        (struct definition_problem){.file = mem_strdup(file), .line = line, .text = mem_strdup(text)};
}

/* Does an expression stand without quotes on that line? YAML ends it at " #", and in { } and [ ] at "}" and ",". */
static bool unquoted_expression(const char *text, long line)
{
    for (long at = 1; text && at < line; at++) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    size_t len = text ? strcspn(text, "\n") : 0;
    size_t quote = text ? strcspn(text, "\"'\n") : 0;
    const char *open = text ? strstr(text, "${") : NULL;
    return open && (size_t)(open - text) < len && (size_t)(open - text) < quote;
}

/* An err of yaml_parse() is "file:line: text". */
static void add_parse_problem(struct definition_problems *problems, const char *file, const char *text,
                              const char *said)
{
    size_t len = strlen(file);
    char *rest = NULL;
    long line = strncmp(said, file, len) == 0 && said[len] == ':' ? strtol(said + len + 1, &rest, 10) : 0;
    const char *why = rest && rest[0] == ':' && rest[1] == ' ' ? rest + 2 : said;
    char *full =
        mem_printf("%s%s", why, unquoted_expression(text, line) ? "; put the expression in quotes: \"${ … }\"" : "");
    definition_problems_add(problems, file, (int)line, full);
    free(full);
}

/* NULL after a problem was added. */
static struct definition *definition_read(enum definition_kind kind, const char *path,
                                          struct definition_problems *problems)
{
    struct err err = ERR_INIT;
    size_t len = 0;
    char *text = yaml_read_file(path, &len, &err);
    json_t *lines = NULL;
    json_t *tree = text ? yaml_parse(text, len, path, &lines, &err) : NULL;
    const char *name = json_string_at(tree, kinds[kind].word);
    if (!tree) {
        add_parse_problem(problems, path, text, err_text(&err));
    } else if (!name || !*name) {
        char *what = mem_printf("a %s begins with \"%s: NAME\"", kinds[kind].name, kinds[kind].word);
        definition_problems_add(problems, path, 1, what);
        free(what);
    }
    err_release(&err);
    if (!tree || !name || !*name) {
        free(text);
        json_decref(tree);
        json_decref(lines);
        return NULL;
    }
    struct definition *definition = MEM_NEW(struct definition);
    definition->kind = kind;
    definition->name = mem_strdup(name);
    definition->file = mem_strdup(path);
    definition->text = text;
    definition->tree = tree;
    definition->lines = lines;
    id_sha256_hex(text, len, definition->hash);
    if (kind == DEFINITION_CONNECTOR) {
        struct check check = {.definition = definition, .problems = problems};
        definition_use_defs(&check);
    }
    return definition;
}

/* ---- directories --------------------------------------------------------------------------------------------------------- */

static struct definition *find(const struct definitions *definitions, enum definition_kind kind, const char *name)
{
    for (size_t i = 0; name && i < definitions->count[kind]; i++) {
        if (strcmp(definitions->items[kind][i]->name, name) == 0) {
            return definitions->items[kind][i];
        }
    }
    return NULL;
}

/* Takes over `definition`. The first of a name wins; a second one in the same directory is a problem. */
static void keep(struct definitions *definitions, struct definition *definition, const char *directory,
                 struct definition_problems *problems)
{
    const struct definition *other = find(definitions, definition->kind, definition->name);
    if (other) {
        size_t len = strlen(directory);
        if (strncmp(other->file, directory, len) == 0 && strrchr(other->file, '/') == other->file + len) {
            char *what = mem_printf("there is already a %s \"%s\" in %s", kinds[definition->kind].name,
                                    definition->name, other->file);
            definition_problems_add(problems, definition->file, 1, what);
            free(what);
        }
        definition_free(definition);
        return;
    }
    size_t count = definitions->count[definition->kind]++;
    struct definition ***items = &definitions->items[definition->kind];
    *items = mem_realloc(*items, (count + 1) * sizeof(struct definition *));
    (*items)[count] = definition;
}

static int yaml_only(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && ((len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0) ||
                                       (len > 4 && strcmp(entry->d_name + len - 4, ".yml") == 0));
}

static int load_directory(struct definitions *definitions, enum definition_kind kind, const char *directory,
                          struct definition_problems *problems, struct err *err)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, yaml_only, alphasort);
    if (count < 0) {
        return err_set(err, ERR_FATAL, "could not read the directory %s: %s", directory, strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        char *path = mem_printf("%s/%s", directory, entries[i]->d_name);
        struct definition *definition = definition_read(kind, path, problems);
        if (definition) {
            keep(definitions, definition, directory, problems);
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static int load_kind(struct definitions *definitions, const struct conf *conf, enum definition_kind kind,
                     struct definition_problems *problems, struct err *err)
{
    for (size_t i = 0; i < conf_list_size(conf, kinds[kind].option); i++) {
        const char *directory = conf_list_item(conf, kinds[kind].option, i);
        if (load_directory(definitions, kind, directory, problems, err) != 0) {
            return err_prefix(err, "%s", kinds[kind].option);
        }
    }
    char *shipped = shipped_directory(kinds[kind].directory);
    int result = shipped ? load_directory(definitions, kind, shipped, problems, err) : 0;
    free(shipped);
    return result;
}

/* ---- all of them --------------------------------------------------------------------------------------------------------- */

/* NULL uses everything. */
static bool used(const struct definition_use *use, const struct definition *definition)
{
    if (!use || definition->kind != DEFINITION_CONNECTOR) {
        return !use || (definition->kind == DEFINITION_SOURCE ? use->sources : use->runbooks);
    }
    for (const char *const *name = use->connectors; name && *name; name++) {
        if (strcmp(*name, definition->name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_all(struct definitions *definitions, const struct definition_use *use,
                      struct definition_problems *problems)
{
    static void (*const checks[KINDS])(struct check *) = {check_source, check_runbook, check_connector};
    struct expr_set *unused = expr_set_new();
    for (int kind = KINDS - 1; kind >= 0; kind--) {
        for (size_t i = 0; i < definitions->count[kind]; i++) {
            const struct definition *definition = definitions->items[kind][i];
            bool uses = used(use, definition);
            struct check check = {definition, definitions, problems, uses ? definitions->exprs : unused};
            if (uses || !use->alone) {
                checks[kind](&check);
            }
        }
    }
    expr_set_free(unused);
}

static size_t error_count(const struct definition_problems *problems)
{
    size_t count = 0;
    for (size_t i = 0; i < problems->count; i++) {
        count += !problems->items[i].warning;
    }
    return count;
}

/* jq's own view of the expressions that it evaluates, once the allow-list has passed them. */
static void compile(struct definitions *definitions, const struct definition_use *use,
                    struct definition_problems *problems)
{
    struct err err = ERR_INIT;
    size_t before = problems->count;
    bool compiled = expr_set_compile(definitions->exprs, &err) == 0;
    for (int kind = 0; kind < KINDS && !compiled; kind++) {
        for (size_t i = 0; i < definitions->count[kind]; i++) {
            const struct definition *definition = definitions->items[kind][i];
            struct check check = {definition, definitions, problems, definitions->exprs};
            if (used(use, definition)) {
                check_refused(&check, "", definition->tree);
            }
        }
    }
    if (!compiled && problems->count == before) {
        definition_problems_add(problems, "expressions", 0, err_text(&err));
    }
    err_release(&err);
}

/* In the order in which a reader goes through the files; what was found first on a line stays first. */
static void sort_problems(struct definition_problems *problems)
{
    for (size_t i = 1; i < problems->count; i++) {
        struct definition_problem moved = problems->items[i];
        size_t to = i;
        for (; to > 0; to--) {
            const struct definition_problem *other = &problems->items[to - 1];
            int order = strcmp(other->file, moved.file);
            if (order < 0 || (order == 0 && other->line <= moved.line)) {
                break;
            }
            problems->items[to] = *other;
        }
        problems->items[to] = moved;
    }
}

/* The definitions, when nothing but warnings was found; else none, and an err. Releases the problems. */
static struct definitions *without_errors(struct definitions *definitions, struct definition_problems *problems,
                                          struct err *err)
{
    if (definitions && error_count(problems) > 0) {
        struct buf text = BUF_INIT;
        for (size_t i = 0; i < problems->count; i++) {
            if (!problems->items[i].warning) {
                buf_addf(&text, "%s%s:%d: %s", text.len ? "\n" : "", problems->items[i].file, problems->items[i].line,
                         problems->items[i].text);
            }
        }
        err_set(err, ERR_FATAL, "%s", buf_text(&text));
        buf_release(&text);
        definitions_free(definitions);
        definitions = NULL;
    }
    definition_problems_release(problems);
    return definitions;
}

struct definitions *definitions_load_connector(const struct conf *conf, const char *name, struct err *err)
{
    struct definition_problems problems = {0};
    struct definitions *definitions = MEM_NEW(struct definitions);
    definitions->exprs = expr_set_new();
    bool loaded = load_kind(definitions, conf, DEFINITION_CONNECTOR, &problems, err) == 0;
    struct definition *connector = loaded ? find(definitions, DEFINITION_CONNECTOR, name) : NULL;
    if (!loaded) {
        definitions_free(definitions);
        return NULL;
    }
    if (connector) {
        definition_problems_release(&problems); /* of the others, which are not asked for */
        struct check check = {connector, definitions, &problems, definitions->exprs};
        check_connector(&check);
        compile(definitions, &(struct definition_use){.connectors = (const char *const[]){name, NULL}}, &problems);
        sort_problems(&problems);
    }
    return without_errors(definitions, &problems, err);
}

static struct definitions *load(const struct conf *conf, const struct definition_use *use,
                                struct definition_problems *problems, struct err *err)
{
    struct definitions *definitions = MEM_NEW(struct definitions);
    definitions->exprs = expr_set_new();
    for (int kind = 0; kind < KINDS; kind++) {
        if (load_kind(definitions, conf, (enum definition_kind)kind, problems, err) != 0) {
            definitions_free(definitions);
            return NULL;
        }
    }
    check_all(definitions, use, problems);
    compile(definitions, use, problems);
    sort_problems(problems);
    return definitions;
}

struct definitions *definitions_load(const struct conf *conf, struct definition_problems *problems, struct err *err)
{
    return load(conf, NULL, problems, err);
}

struct definitions *definitions_load_or_fail(const struct conf *conf, const struct definition_use *use, struct err *err)
{
    struct definition_problems problems = {0};
    struct definitions *definitions = load(conf, use, &problems, err);
    return without_errors(definitions, &problems, err);
}

void definitions_free(struct definitions *definitions)
{
    if (!definitions) {
        return;
    }
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < definitions->count[kind]; i++) {
            definition_free(definitions->items[kind][i]);
        }
        free(definitions->items[kind]);
    }
    expr_set_free(definitions->exprs);
    free(definitions);
}

void definition_problems_release(struct definition_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        free(problems->items[i].file);
        free(problems->items[i].text);
    }
    free(problems->items);
    *problems = (struct definition_problems){0};
}

/* ---- look-ups ---------------------------------------------------------------------------------------------------------------- */

const struct definition *definition_find(const struct definitions *definitions, enum definition_kind kind,
                                         const char *name)
{
    return find(definitions, kind, name);
}

size_t definition_count(const struct definitions *definitions, enum definition_kind kind)
{
    return definitions->count[kind];
}

const struct definition *definition_item(const struct definitions *definitions, enum definition_kind kind, size_t i)
{
    return definitions->items[kind][i];
}

struct expr_set *definitions_exprs(struct definitions *definitions)
{
    return definitions->exprs;
}

const char *definition_nearest(const struct definitions *definitions, enum definition_kind kind, const char *wrong)
{
    size_t count = definitions->count[kind];
    const char **names = mem_alloc((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = definitions->items[kind][i]->name;
    }
    const char *near = nearest_name(wrong, names, count);
    free(names);
    return near;
}

const json_t *definition_action(const struct definitions *definitions, const char *system, const char *action)
{
    const struct definition *connector = find(definitions, DEFINITION_CONNECTOR, system);
    return connector && action ? json_object_get(json_object_get(connector->tree, "actions"), action) : NULL;
}

const char *definition_effect(const struct definitions *definitions, const char *system, const char *action)
{
    return json_string_at(definition_action(definitions, system, action), "effect");
}

const char *definition_system_title(const struct definitions *definitions, const char *system)
{
    const struct definition *connector = find(definitions, DEFINITION_CONNECTOR, system);
    const char *title = connector ? json_string_at(connector->tree, "title") : NULL;
    return title ? title : system;
}

char *definition_action_title(const struct definitions *definitions, const char *system, const char *action)
{
    const char *title = json_string_at(definition_action(definitions, system, action), "title");
    char *text = mem_strdup(title ? title : action);
    for (size_t i = 0; !title && text && text[i]; i++) {
        text[i] = (char)(text[i] == '_' ? ' ' : text[i]);
    }
    return text;
}
