/* Between yaml.c (documents) and yaml_node.c (what is in them). */
#ifndef OFFBOARD_LIB_YAML_INTERNAL_H
#define OFFBOARD_LIB_YAML_INTERNAL_H

#include <libfyaml.h>
#include <stdbool.h>

#include "lib/buf.h"
#include "lib/yaml.h"

/* What one conversion carries along. */
struct yaml_reading {
    const char *file;
    json_t *lines;
    struct buf pointer; /* JSON pointer of the node in hand */
    bool texts;         /* scalars stay text, but for null */
    struct err *err;
};

/* A node as JSON, its lines remembered; new reference, NULL with an err. */
json_t *yaml_convert(struct yaml_reading *reading, struct fy_node *node);

/* Line at which a node begins, 0 when it has nothing that stands on one. */
int yaml_line(struct fy_node *node);

/* Fills the err with "file:line: what". -1. */
int yaml_wrong(struct yaml_reading *reading, int line, const char *what);

#endif
