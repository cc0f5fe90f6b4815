#include "lib/expr_node.h"

#include <stdlib.h>

#include "lib/mem.h"

struct expr_node *expr_node_new(enum expr_kind kind)
{
    struct expr_node *node = MEM_NEW(struct expr_node);
    node->kind = kind;
    return node;
}

struct expr_node *expr_node_named(enum expr_kind kind, const char *name, size_t len)
{
    struct expr_node *node = expr_node_new(kind);
    node->name = mem_strndup(name, len);
    return node;
}

struct expr_node *expr_node_text(const char *text, size_t len)
{
    struct expr_node *node = expr_node_new(EXPR_LITERAL);
    node->value = json_stringn(text, len);
    return node;
}

void expr_node_add(struct expr_node *node, struct expr_node *child)
{
    node->children = mem_realloc(node->children, (node->count + 1) * sizeof *node->children);
    node->children[node->count++] = child;
}

void expr_node_free(struct expr_node *node)
{
    if (!node) {
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        expr_node_free(node->children[i]);
    }
    free(node->children);
    free(node->name);
    json_decref(node->value);
    free(node);
}

int expr_node_take(struct expr_node *node, struct expr_node *child)
{
    if (!child) {
        return -1;
    }
    expr_node_add(node, child);
    return 0;
}

struct expr_node *expr_node_kept(struct expr_node *node, int result)
{
    if (result == 0) {
        return node;
    }
    expr_node_free(node);
    return NULL;
}
