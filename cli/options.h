/* Command lines of the operator's command: long options in any order among the operands. */
#ifndef OFFBOARD_CLI_OPTIONS_H
#define OFFBOARD_CLI_OPTIONS_H

#include "cli/cli.h"

struct cli_parsed {
    const char *config; /* -c FILE, --config FILE */
    bool help;
    int operands; /* argv[0 .. operands-1] hold what is no option */
};

/* Sets the command's options and moves the operands to the front of argv. -1 after a message that names the nearest right
 * option. "--" ends the options; "-" is an operand. */
int cli_options_parse(const struct command *command, int argc, char **argv, struct cli_parsed *parsed);

#endif
