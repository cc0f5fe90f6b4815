#include "lib/expr_set.h"

#include <stdlib.h>
#include <string.h>

#include "lib/expr_jq.h"
#include "lib/expr_paths.h"
#include "lib/mem.h"

enum {
    PASSING_MAX = 2048, /* texts that come with jobs: some 35 kB each when jq evaluates them */
    BUCKETS = 1024,
    PROGRAM_SIZE =
        256 /* expressions in one jq program: compiling takes the square of their number, and 15 ms besides */
};

struct expr_set {
    struct expr_template *buckets[BUCKETS];
    struct expr_template *newest, *oldest; /* the passing ones, by when they were last used */
    size_t passing;
    struct jq_program **programs; /* of several expressions each */
    size_t program_count;
};

/* ---- the set ------------------------------------------------------------------------------------------------------------ */

struct expr_set *expr_set_new(void)
{
    return MEM_NEW(struct expr_set);
}

void expr_set_free(struct expr_set *set)
{
    for (size_t i = 0; set && i < BUCKETS; i++) {
        while (set->buckets[i]) {
            struct expr_template *template = set->buckets[i];
            set->buckets[i] = template->next;
            expr_template_free(template);
        }
    }
    for (size_t i = 0; set && i < set->program_count; i++) {
        jq_program_free(set->programs[i]);
    }
    if (set) {
        free(set->programs);
    }
    free(set);
}

static size_t bucket_of(const char *text)
{
    size_t hash = 5381;
    for (; *text; text++) {
        hash = hash * 33 + (unsigned char)*text;
    }
    return hash % BUCKETS;
}

static struct expr_template *find(const struct expr_set *set, const char *text)
{
    struct expr_template *template = set->buckets[bucket_of(text)];
    while (template && strcmp(template->text, text) != 0) {
        template = template->next;
    }
    return template;
}

static struct expr_template *add(struct expr_set *set, const char *text, struct err *err)
{
    struct expr_template *template = expr_template_new(text, err);
    if (template) {
        struct expr_template **bucket = &set->buckets[bucket_of(text)];
        template->next = *bucket;
        *bucket = template;
    }
    return template;
}

/* ---- texts that pass by --------------------------------------------------------------------------------------------------- */

static void put_first(struct expr_set *set, struct expr_template *template)
{
    template->older = set->newest;
    template->newer = NULL;
    *(set->newest ? &set->newest->newer : &set->oldest) = template;
    set->newest = template;
    set->passing++;
}

static void take_out(struct expr_set *set, struct expr_template *template)
{
    *(template->newer ? &template->newer->older : &set->newest) = template->older;
    *(template->older ? &template->older->newer : &set->oldest) = template->newer;
    set->passing--;
}

static void forget_oldest(struct expr_set *set)
{
    struct expr_template *template = set->oldest;
    struct expr_template **link = &set->buckets[bucket_of(template->text)];
    while (*link != template) {
        link = &(*link)->next;
    }
    *link = template->next;
    take_out(set, template);
    expr_template_free(template);
}

struct expr_template *expr_set_template(struct expr_set *set, const char *text, struct err *err)
{
    struct expr_template *template = find(set, text);
    if (template && template->kept) {
        return template;
    }
    if (template) {
        take_out(set, template);
    } else if (!(template = add(set, text, err))) {
        return NULL;
    }
    put_first(set, template);
    if (set->passing > PASSING_MAX) {
        forget_oldest(set);
    }
    return template;
}

/* Those of definitions are kept. */
int expr_check(struct expr_set *set, const char *text, struct err *err)
{
    struct expr_template *template = find(set, text);
    if (template && !template->kept) {
        take_out(set, template);
    } else if (!template && !(template = add(set, text, err))) {
        return -1;
    }
    template->kept = true;
    return 0;
}

/* ---- paths ---------------------------------------------------------------------------------------------------------------- */

void expr_set_paths(const struct expr_set *set, const char *text, expr_path_fn *each, void *arg)
{
    const struct expr_template *template = set ? find(set, text) : NULL;
    if (!template) {
        expr_paths(text, each, arg);
        return;
    }
    for (size_t i = 0; i < template->count; i++) {
        if (template->parts[i].tree) {
            expr_paths_of(template->parts[i].tree, each, arg);
        }
    }
}

/* ---- compiling ------------------------------------------------------------------------------------------------------------ */

int expr_set_compile_part(struct expr_part *part, struct err *err)
{
    const char *expression = part->guarded;
    part->program = jq_program_new(&expression, 1, err);
    if (!part->program) {
        return err_prefix(err, "in ${ %s }", part->expression);
    }
    part->index = 0;
    part->own = true;
    return 0;
}

/* The parts that jq has to evaluate and that are not compiled yet; the caller frees the array. */
static struct expr_part **open_parts(struct expr_set *set, size_t *count)
{
    struct expr_part **parts = NULL;
    *count = 0;
    for (size_t b = 0; b < BUCKETS; b++) {
        for (struct expr_template *template = set->buckets[b]; template; template = template->next) {
            for (size_t i = 0; i < template->count && template->kept; i++) {
                struct expr_part *part = &template->parts[i];
                if (part->expression && !part->path.count && !part->program && !part->code) {
                    parts = mem_realloc(parts, (*count + 1) * sizeof(struct expr_part *));
                    parts[(*count)++] = part;
                }
            }
        }
    }
    return parts;
}

/* All of them in one program; -1 when jq refuses one of them. */
static int compile_together(struct expr_set *set, struct expr_part **parts, size_t count)
{
    const char *expressions[PROGRAM_SIZE];
    for (size_t i = 0; i < count; i++) {
        expressions[i] = parts[i]->guarded;
    }
    struct jq_program *program = jq_program_new(expressions, count, NULL);
    if (!program) {
        return -1;
    }
    set->programs = mem_realloc(set->programs, (set->program_count + 1) * sizeof(struct jq_program *));
    set->programs[set->program_count++] = program;
    for (size_t i = 0; i < count; i++) {
        parts[i]->program = program;
        parts[i]->index = i;
    }
    return 0;
}

/* Compiles all that jq takes, and notes what it says against the others. Those are found by halves: to compile each expression by
 * itself takes 15 ms. */
static void compile_range(struct expr_set *set, struct expr_part **parts, size_t count)
{
    if (count == 1) {
        struct err err = ERR_INIT;
        if (expr_set_compile_part(parts[0], &err) != 0) {
            free(parts[0]->refused);
            parts[0]->refused = mem_strdup(err_text(&err));
        }
        err_release(&err);
    } else if (count <= PROGRAM_SIZE && compile_together(set, parts, count) == 0) {
        return;
    } else if (count > PROGRAM_SIZE) {
        compile_range(set, parts, PROGRAM_SIZE);
        compile_range(set, parts + PROGRAM_SIZE, count - PROGRAM_SIZE);
    } else {
        compile_range(set, parts, count / 2);
        compile_range(set, parts + count / 2, count - count / 2);
    }
}

int expr_set_compile(struct expr_set *set, struct err *err)
{
    size_t count;
    struct expr_part **parts = open_parts(set, &count);
    const char *refused = NULL;
    if (count) {
        compile_range(set, parts, count);
    }
    for (size_t i = 0; i < count && !refused; i++) {
        refused = parts[i]->refused;
    }
    free(parts);
    return refused ? err_set(err, ERR_PERMANENT, "%s", refused) : 0;
}

const char *expr_set_refused(const struct expr_set *set, const char *text)
{
    const struct expr_template *template = find(set, text);
    for (size_t i = 0; template && i < template->count; i++) {
        if (template->parts[i].refused) {
            return template->parts[i].refused;
        }
    }
    return NULL;
}
