/* YAML 1.2 to JSON, with the line of every node: what configuration and definitions are read with (libfyaml). */
#ifndef OFFBOARD_LIB_YAML_H
#define OFFBOARD_LIB_YAML_H

#include <jansson.h>
#include <stddef.h>

#include "lib/err.h"

/* Reads one document. Plain scalars become null, booleans and numbers by the YAML 1.2 core schema (integers above 2^53 stay
 * text), quoted ones text; aliases are resolved; a duplicate key is an error. `lines` (may be NULL) gets a new object: JSON
 * pointer to line number (1-based). ERR_PERMANENT is "file:line: what". An empty document is an empty object. */
json_t *yaml_parse(const char *text, size_t len, const char *file, json_t **lines, struct err *err);

/* As yaml_parse(), but scalars stay as they are written, except null: in a configuration 007 may be a password and 1.10 a
 * version. */
json_t *yaml_parse_texts(const char *text, size_t len, const char *file, json_t **lines, struct err *err);

/* `pointer`/`key`, a key of `lines`. The caller frees. */
char *yaml_pointer(const char *pointer, const char *key);

/* A whole file's bytes, at most 1 MiB; the caller frees. NULL with an err. */
char *yaml_read_file(const char *path, size_t *len, struct err *err);

#endif
