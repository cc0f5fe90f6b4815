#include "lib/expr_guard.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/expr_allow.h"
#include "lib/expr_words.h"
#include "lib/mem.h"

/* What grows less is bounded well enough by the size of what it reads. */
enum { GROWTH_FREE = 16 };

struct insertion {
    size_t at;
    const char *text; /* stands there, instead of the next `instead` characters */
    size_t instead;
};

struct guard {
    struct insertion *insertions;
    size_t count;
    bool measured;
};

/* Keeps them in the order of their places; those at one place in the order in which they came. */
static void insert(struct guard *guard, size_t at, const char *text, size_t instead)
{
    guard->insertions = mem_realloc(guard->insertions, (guard->count + 1) * sizeof *guard->insertions);
    size_t i = guard->count++;
    for (; i > 0 && guard->insertions[i - 1].at > at; i--) {
        guard->insertions[i] = guard->insertions[i - 1];
    }
    guard->insertions[i] = (struct insertion){at, text, instead};
}

static bool literal(const struct expr_node *node)
{
    return node->kind == EXPR_LITERAL || (node->kind == EXPR_NEGATIVE && literal(node->children[0]));
}

static void guard_node(struct guard *guard, const struct expr_node *node)
{
    bool made = guard->measured && node->end && (node->kind == EXPR_LIST || node->kind == EXPR_OBJECT);
    if (made) {
        insert(guard, node->at, "(", 0);
    }
    for (size_t i = 0; i < node->count; i++) {
        bool pattern = node->kind == EXPR_AS && i > 0 && i + 1 < node->count;
        if (!pattern) {
            guard_node(guard, node->children[i]);
        }
    }
    if (made) {
        insert(guard, node->end, " | __fits)", 0);
    } else if (node->kind == EXPR_INDEX && node->end && !literal(node->children[0])) {
        insert(guard, node->end - 1, " | __key", 0);
    } else if (node->kind == EXPR_FORMAT && expr_format_call(node->name)) {
        insert(guard, node->at, expr_format_call(node->name), node->end - node->at);
    }
}

char *expr_guarded(const char *text, const struct expr_node *expression)
{
    struct guard guard = {.measured = expr_growth(expression) > GROWTH_FREE};
    struct buf guarded = BUF_INIT;
    size_t from = 0;
    guard_node(&guard, expression);
    for (size_t i = 0; i < guard.count; i++) {
        buf_add(&guarded, text + from, guard.insertions[i].at - from);
        buf_adds(&guarded, guard.insertions[i].text);
        from = guard.insertions[i].at + guard.insertions[i].instead;
    }
    buf_adds(&guarded, text + from);
    free(guard.insertions);
    return buf_take(&guarded);
}
