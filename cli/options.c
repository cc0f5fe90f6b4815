#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/nearest.h"

static const struct cli_option *find(const struct command *command, const char *name, size_t len)
{
    for (const struct cli_option *option = command->options; option && option->name; option++) {
        if (strlen(option->name) == len && strncmp(option->name, name, len) == 0) {
            return option;
        }
    }
    return NULL;
}

static int unknown(const struct command *command, const char *argument)
{
    const char *names[32];
    size_t count = 0;
    for (const struct cli_option *option = command->options; option && option->name && count < COUNT_OF(names) - 2;
         option++) {
        names[count++] = option->name; /* before the common ones: of two as near as each other the first is named */
    }
    names[count++] = "config";
    names[count++] = "help";
    const char *near = nearest_name(argument + 2, names, count);
    if (near) {
        cli_fail(CLI_USAGE, "%s has no option \"%s\"; did you mean \"--%s\"?", command->name, argument, near);
    } else {
        cli_fail(CLI_USAGE, "%s has no option \"%s\"; see `offboard help %s`", command->name, argument, command->name);
    }
    return -1;
}

/* Value of the option at argv[*i]: after "=", or the next argument. NULL after a message. */
static const char *value_of(const char *equals, int argc, char **argv, int *i)
{
    if (equals) {
        return equals + 1;
    }
    if (*i + 1 >= argc) {
        cli_fail(CLI_USAGE, "option \"%s\" needs a value", argv[*i]);
        return NULL;
    }
    return argv[++*i];
}

static int take(const struct command *command, int argc, char **argv, int *i, struct cli_parsed *parsed)
{
    const char *argument = argv[*i];
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        parsed->help = true;
        return 0;
    }
    const char *equals = strncmp(argument, "--", 2) == 0 ? strchr(argument, '=') : NULL;
    size_t len = equals ? (size_t)(equals - argument) : strlen(argument);
    if (strcmp(argument, "-c") == 0 || (len == 8 && strncmp(argument, "--config", 8) == 0)) {
        parsed->config = value_of(equals, argc, argv, i);
        return parsed->config ? 0 : -1;
    }
    const struct cli_option *option = len > 2 && argument[1] == '-' ? find(command, argument + 2, len - 2) : NULL;
    if (!option) {
        return unknown(command, argument);
    }
    if (option->flag) {
        if (equals) {
            cli_fail(CLI_USAGE, "option \"--%s\" takes no value", option->name);
            return -1;
        }
        *option->flag = true;
        return 0;
    }
    const char *value = value_of(equals, argc, argv, i);
    if (!value) {
        return -1;
    }
    struct cli_values *values = option->into ? NULL : command->values;
    if (values && values->count == COUNT_OF(values->items)) {
        cli_fail(CLI_USAGE, "option \"--%s\" is given more than %zu times", option->name, values->count);
        return -1;
    }
    *(values ? &values->items[values->count++] : option->into) = value;
    return 0;
}

int cli_options_parse(const struct command *command, int argc, char **argv, struct cli_parsed *parsed)
{
    *parsed = (struct cli_parsed){0};
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (ended || argv[i][0] != '-' || strcmp(argv[i], "-") == 0) {
            argv[parsed->operands++] = argv[i];
        } else if (take(command, argc, argv, &i, parsed) != 0) {
            return -1;
        }
    }
    return 0;
}

void cli_usage(const struct command *command)
{
    printf("usage: offboard %s %s\n\n%s\n", command->name, command->arguments, command->summary);
    if (command->details) {
        printf("\n%s\n", command->details);
    }
    printf("\nOptions:\n");
    for (const struct cli_option *option = command->options; option && option->name; option++) {
        char *name = mem_printf("--%s%s%s", option->name, option->value ? " " : "", option->value ? option->value : "");
        printf("  %-24s %s\n", name, option->help);
        free(name);
    }
    printf("  %-24s %s\n", "-c, --config FILE", "configuration (default: $OFFBOARD_CONFIG, else ./offboard.yaml)");
    printf("  %-24s %s\n", "-h, --help", "this text");
}
