/* Who may do what in Kafka: one principal for each process, and of the workers one for each system. */
#ifndef OFFBOARD_CLI_TOPIC_RIGHTS_H
#define OFFBOARD_CLI_TOPIC_RIGHTS_H

#include <jansson.h>
#include <stddef.h>

#include "lib/conf.h"

/* The rules for all processes and for the workers of these systems: a list of objects {principal, resource ("topic" or "group"), name,
 * pattern ("literal" or "prefixed"), operations}. `principals`: what a principal is called, "%s" standing for the process: "producer",
 * "worker-okta", …. New reference. */
json_t *topic_rights(const struct conf *conf, const char *principals, const char *const *systems, size_t count);

/* The same as commands for Kafka's own tool, with a line above them for each principal. */
void topic_rights_print(const json_t *rights, const struct conf *conf);

#endif
