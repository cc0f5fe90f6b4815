#include "cli/topic_rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/mem.h"

enum resource { TOPIC, GROUP };

/* `name`: the part behind the prefix; one that ends in a point stands for all systems, and for the worker's own in a worker's rule.
 * Operations are Kafka's; reading and writing include Describe. */
static const struct rule {
    const char *process;
    enum resource resource;
    const char *name;
    const char *operations[3];
} rules[] = {
    {"hr", TOPIC, "intake", {"Write"}},

    {"producer", TOPIC, "intake", {"Read", "Write"}}, /* writes: puts dead letters back */
    {"producer", TOPIC, "polled.", {"Read", "Write"}},
    {"producer", TOPIC, "received", {"Read", "Write"}},
    {"producer", TOPIC, "dead", {"Read", "Write"}},
    {"producer", TOPIC, "roster", {"Read", "Write"}},
    {"producer", TOPIC, "keys", {"Read", "Write"}},
    {"producer", TOPIC, "control", {"Read", "Write"}},
    {"producer", TOPIC, "events", {"Read", "Write"}}, /* reads, as the next: is a dead letter what it says? */
    {"producer", TOPIC, "orders", {"Read", "Write"}},
    {"producer", TOPIC, "results.", {"Read"}},
    {"producer", TOPIC, "jobs.", {"Read", "Write"}},
    {"producer", TOPIC, "urgent.", {"Read", "Write"}},
    {"producer", GROUP, "producer", {"Read"}},
    {"producer", GROUP, "planner", {"Read"}},

    {"vault", TOPIC, "orders", {"Write"}},
    {"vault", TOPIC, "keys", {"Read"}},

    {"scheduler", TOPIC, "events", {"Write"}},
    {"scheduler", TOPIC, "orders", {"Describe"}},
    {"scheduler", TOPIC, "results.", {"Describe"}},
    {"scheduler", TOPIC, "control", {"Write"}},
    {"scheduler", TOPIC, "roster", {"Write"}},
    {"scheduler", TOPIC, "keys", {"Read"}},
    {"scheduler", TOPIC, "jobs.", {"Read", "Write"}},
    {"scheduler", TOPIC, "urgent.", {"Read", "Write"}},
    {"scheduler", GROUP, "", {"Describe"}},

    {"logger", TOPIC, "events", {"Read"}},
    {"logger", TOPIC, "orders", {"Read"}},
    {"logger", TOPIC, "results.", {"Read"}},
    {"logger", TOPIC, "control", {"Read"}},
    {"logger", TOPIC, "keys", {"Read"}},
    {"logger", TOPIC, "dead", {"Write"}},
    {"logger", GROUP, "logger", {"Read"}},

    {"worker", TOPIC, "jobs.", {"Read"}},
    {"worker", TOPIC, "urgent.", {"Read"}},
    {"worker", TOPIC, "results.", {"Read", "Write"}}, /* reads: what was answered, when Kafka forgot its offsets */
    {"worker", TOPIC, "polled.", {"Write"}},
    {"worker", TOPIC, "control", {"Read"}},
    {"worker", TOPIC, "keys", {"Read"}},
    {"worker", TOPIC, "dead", {"Write"}},
    {"worker", GROUP, ".", {"Read"}},

    {"admin", TOPIC, "", {"Create", "Describe", "DescribeConfigs"}},
    {"admin", TOPIC, "dead", {"Read"}},
};

static json_t *operations_of(const struct rule *rule)
{
    json_t *operations = json_array();
    for (size_t i = 0; i < COUNT_OF(rule->operations) && rule->operations[i]; i++) {
        json_array_append_new(operations, json_string(rule->operations[i]));
    }
    return operations;
}

/* `system`: the worker's; NULL for other processes. */
static json_t *right_new(const struct conf *conf, const char *principals, const struct rule *rule, const char *system)
{
    size_t len = strlen(rule->name);
    bool of_all = len == 0 || rule->name[len - 1] == '.';
    char *process = system ? mem_printf("%s-%s", rule->process, system) : mem_strdup(rule->process);
    const char *mark = strstr(principals, "%s");
    char *principal =
        mark ? mem_printf("%.*s%s%s", (int)(mark - principals), principals, process, mark + 2) : mem_strdup(principals);
    char *name = mem_printf("%s.%s%s", conf_string(conf, "kafka.prefix"),
                            strcmp(rule->name, ".") == 0 ? "" : rule->name, system && of_all ? system : "");
    json_t *right = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "process", process, "principal", principal, "resource",
                              rule->resource == TOPIC ? "topic" : "group", "name", name, "pattern",
                              of_all && !system ? "prefixed" : "literal", "operations", operations_of(rule));
    free(name);
    free(principal);
    free(process);
    return right;
}

json_t *topic_rights(const struct conf *conf, const char *principals, const char *const *systems, size_t count)
{
    json_t *rights = json_array();
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        if (strcmp(rules[i].process, "worker") != 0) {
            json_array_append_new(rights, right_new(conf, principals, &rules[i], NULL));
        }
    }
    for (size_t s = 0; s < count; s++) {
        for (size_t i = 0; i < COUNT_OF(rules); i++) {
            if (strcmp(rules[i].process, "worker") == 0) {
                json_array_append_new(rights, right_new(conf, principals, &rules[i], systems[s]));
            }
        }
    }
    return rights;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

/* For a shell: in single quotes where something in it means more than itself. */
static void print_word(const char *word)
{
    if (word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:/=_-")] == '\0') {
        printf(" %s", word);
        return;
    }
    printf(" '");
    for (; *word; word++) {
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, stdout);
    }
    printf("'");
}

static void print_right(const json_t *right, const char *brokers)
{
    printf("kafka-acls --bootstrap-server");
    print_word(brokers);
    printf(" --add --allow-principal");
    print_word(json_string_at(right, "principal"));
    size_t i;
    json_t *operation;
    json_array_foreach(json_object_get(right, "operations"), i, operation)
    {
        printf(" --operation %s", json_string_value(operation));
    }
    printf(" --%s", json_string_at(right, "resource"));
    print_word(json_string_at(right, "name"));
    printf("%s\n",
           strcmp(json_string_at(right, "pattern"), "prefixed") == 0 ? " --resource-pattern-type prefixed" : "");
}

static const char *meaning(const char *process)
{
    static const char *const meanings[][2] = {
        {"hr", "HR systems that write to Kafka themselves"},
        {"producer", "takes HR events and orders, plans"},
        {"vault", "reveals what is in escrow"},
        {"scheduler", "publishes what is due"},
        {"logger", "records everything in PostgreSQL"},
        {"admin", "`offboard topics` and `offboard dead`"},
    };
    for (size_t i = 0; i < COUNT_OF(meanings); i++) {
        if (strcmp(process, meanings[i][0]) == 0) {
            return meanings[i][1];
        }
    }
    return "calls its system, and says what became of its jobs";
}

void topic_rights_print(const json_t *rights, const struct conf *conf)
{
    const char *process = "";
    size_t i;
    json_t *right;
    json_array_foreach(rights, i, right)
    {
        if (strcmp(process, json_string_at(right, "process")) != 0) {
            process = json_string_at(right, "process");
            printf("%s# %s: %s\n", i ? "\n" : "", process, meaning(process));
        }
        print_right(right, conf_string(conf, "kafka.brokers"));
    }
}
