/* Definitions: sources, runbooks and connectors; YAML files, loaded and validated alike by every process.
 *
 * The shipped ones come from share/offboard (installed) or producer/ and worker/ (a checkout); a customer's directories
 * (definitions.sources, .runbooks, .connectors) win by name. A definition is its JSON tree, as the file has it (nothing is
 * normalised: what is left out is absent), plus, for messages, the line of every node. Its hash is the SHA-256 of the file's bytes. */
#ifndef OFFBOARD_LIB_DEFINITION_H
#define OFFBOARD_LIB_DEFINITION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/expr.h"
#include "lib/id.h"

enum definition_kind { DEFINITION_SOURCE, DEFINITION_RUNBOOK, DEFINITION_CONNECTOR };

struct definition {
    enum definition_kind kind;
    char *name; /* value of `source:`, `runbook:` or `system:` */
    char *file;
    char *text; /* as it was read */
    char hash[ID_SHA256_HEX_SIZE];
    json_t *tree;
    json_t *lines; /* JSON pointer ("/phases/0/steps/1/needs") to line number */
};

/* One thing that is wrong. All texts are owned by the list. */
struct definition_problem {
    char *file;
    int line;     /* 1-based, 0 when unknown */
    bool warning; /* it will run, but a reader should know (a revoke step with `needs`, …) */
    char *text;   /* what is wrong, and the nearest right name or the remedy */
};

struct definition_problems {
    struct definition_problem *items;
    size_t count;
};

struct definitions;

/* Loads and validates all of them, cross-references included (unknown systems, actions, parameters, steps, cycles).
 * Problems are collected, not only the first; returns NULL only when a directory can't be read (err). The caller decides:
 * processes refuse to start on a problem that is no warning. */
struct definitions *definitions_load(const struct conf *conf, struct definition_problems *problems, struct err *err);
void definitions_free(struct definitions *definitions);
void definition_problems_release(struct definition_problems *problems);
void definition_problems_add(struct definition_problems *problems, const char *file, int line, const char *text);

/* Whose expressions a process evaluates. jq compiles those alone: it takes a good part of a start. The rest is checked (the allow-list,
 * words, references), unless that is left to others: what is wrong in a connector keeps its own worker from starting, not the others. */
struct definition_use {
    bool sources;
    bool runbooks;
    const char *const *connectors; /* NULL-ended names; NULL: none */
    bool alone;                    /* the rest is not checked */
};

/* As definitions_load(), but with problems (that are no warnings) as one err text, "file:line: text" a line. */
struct definitions *definitions_load_or_fail(const struct conf *conf, const struct definition_use *use,
                                             struct err *err);

/* One connector, validated by itself: no source, no runbook, and of the other connectors only that they are there. For a single try. */
struct definitions *definitions_load_connector(const struct conf *conf, const char *name, struct err *err);

/* NULL when there is none of that name. */
const struct definition *definition_find(const struct definitions *definitions, enum definition_kind kind,
                                         const char *name);
size_t definition_count(const struct definitions *definitions, enum definition_kind kind);
const struct definition *definition_item(const struct definitions *definitions, enum definition_kind kind, size_t i);
const char *definition_kind_name(enum definition_kind kind); /* "source", "runbook", "connector" */

/* The expressions of the definitions, compiled where a `definition_use` did not leave them out (those are compiled when first
 * used). Belongs to the thread that uses it. */
struct expr_set *definitions_exprs(struct definitions *definitions);

/* Name closest to `wrong` among the definitions of a kind, NULL when none is near. */
const char *definition_nearest(const struct definitions *definitions, enum definition_kind kind, const char *wrong);

/* An action of a connector; borrowed, NULL when system or action is unknown (or NULL). */
const json_t *definition_action(const struct definitions *definitions, const char *system, const char *action);

/* Effect of an action ("revoke", …), NULL when system or action is unknown. */
const char *definition_effect(const struct definitions *definitions, const char *system, const char *action);

/* How people call a system ("Zoom"): the connector's `title`, else the name; borrowed. */
const char *definition_system_title(const struct definitions *definitions, const char *system);

/* What an action does, as an order ("delete the account"): its `title`, else its name with spaces. The caller frees. */
char *definition_action_title(const struct definitions *definitions, const char *system, const char *action);

#endif
