/* Prints CONFIGURATION.md; with --values-schema FILE the schema of the chart's values that lies there, with `config` as the table
 * has it: every option that is no secret. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf.h"
#include "lib/mem.h"

#define DURATION "^([0-9]+(ms|s|m|h|d|w))+$"

static json_t *value_schema(const struct conf_option *option)
{
    json_t *schema = json_pack("{s:s}", "description", option->help);
    if (option->otherwise) {
        json_object_set_new(schema, "default", json_string(option->otherwise));
    }
    switch (option->type) {
    case CONF_INT:
        json_object_set_new(schema, "type", json_string("integer"));
        json_object_set_new(schema, "minimum", json_integer(option->least ? atoll(option->least) : 0));
        break;
    case CONF_DURATION:
        json_object_set_new(schema, "type", json_string("string"));
        json_object_set_new(schema, "pattern", json_string(DURATION));
        break;
    case CONF_LIST:
        json_object_set_new(schema, "type", json_pack("[s, s]", "array", "string"));
        json_object_set_new(schema, "items", json_pack("{s:s}", "type", "string"));
        break;
    case CONF_BOOL:
        json_object_set_new(schema, "type", json_string("boolean"));
        break;
    case CONF_STRING:
        json_object_set_new(schema, "type", json_string("string"));
        break;
    }
    return schema;
}

/* Borrowed; made when it is not there. */
static json_t *section(json_t *properties, const char *name)
{
    json_t *found = json_object_get(properties, name);
    if (!found) {
        found = json_pack("{s:s, s:b, s:{}}", "type", "object", "additionalProperties", 0, "properties");
        json_object_set_new(properties, name, found);
    }
    return json_object_get(found, "properties");
}

/* A secret is given by a Secret; but kafka.properties holds what is none, too. */
static json_t *config_schema(void)
{
    json_t *properties = json_object();
    size_t count;
    const struct conf_option *options = conf_options(&count);
    for (size_t i = 0; i < count; i++) {
        const char *dot = strchr(options[i].key, '.');
        if (options[i].secret && strcmp(options[i].key, "kafka.properties") != 0) {
            continue;
        }
        char *name = mem_strndup(options[i].key, (size_t)(dot - options[i].key));
        json_object_set_new(section(properties, name), dot + 1, value_schema(&options[i]));
        free(name);
    }
    return json_pack("{s:s, s:s, s:b, s:o}", "description",
                     "options of CONFIGURATION.md, generated from the same table", "type", "object",
                     "additionalProperties", 0, "properties", properties);
}

static int print_schema(const char *path)
{
    json_error_t why;
    json_t *schema = json_load_file(path, 0, &why);
    json_t *properties = json_object_get(schema, "properties");
    if (!properties) {
        fprintf(stderr, "%s: %s\n", path, schema ? "no schema of an object" : why.text);
        json_decref(schema);
        return 1;
    }
    json_object_set_new(properties, "config", config_schema());
    json_dumpf(schema, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(schema);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--values-schema") == 0) {
        return print_schema(argv[2]);
    }
    struct buf text = BUF_INIT;
    conf_document(&text);
    fputs(buf_text(&text), stdout);
    buf_release(&text);
    return 0;
}
