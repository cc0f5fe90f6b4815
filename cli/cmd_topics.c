/* offboard topics: creates what is missing, says what differs. Nothing is ever changed or deleted: a different number of partitions would
 * send people and offboardings elsewhere. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/topic_check.h"
#include "cli/topic_kind.h"
#include "cli/topic_rights.h"
#include "lib/definition.h"
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/polled.h"

enum { REACH_MS = 10000, TIMEOUT_MS = 30000 };

static struct {
    bool all;
    bool acl, json;
    const char *principals;
} opt;

struct work {
    struct cli *cli;
    const struct definitions *definitions;
    rd_kafka_t *rk;
    rd_kafka_NewTopic_t **topics;
    size_t count;
    int code;
};

static void add_topic(struct work *work, const struct topic_kind *kind, const char *system)
{
    struct topic_setting settings[TOPIC_SETTINGS_MAX];
    size_t count = topic_settings(kind, settings);
    char error[256];
    char *name = kafka_topic(work->cli->conf, kind->name, system);
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, topic_partitions(kind, work->cli->conf),
                              (int)conf_int(work->cli->conf, "topics.replication"), error, sizeof error);
    for (size_t i = 0; topic && i < count; i++) {
        rd_kafka_NewTopic_set_config(topic, settings[i].name, settings[i].value);
    }
    if (topic) {
        work->topics = mem_realloc(work->topics, (work->count + 1) * sizeof(rd_kafka_NewTopic_t *));
        work->topics[work->count++] = topic;
    } else {
        work->code = cli_fail(CLI_USAGE, "topic %s: %s", name, error);
    }
    free(name);
}

static bool has_topic(const struct work *work, const struct topic_kind *kind, const char *system)
{
    return strcmp(kind->name, TOPIC_POLLED) != 0 || source_polls(work->definitions, system);
}

static void add_topics(struct work *work, const char *const *systems, size_t system_count)
{
    size_t kind_count;
    const struct topic_kind *kinds = topic_kinds(&kind_count);
    for (size_t k = 0; k < kind_count; k++) {
        if (!kinds[k].per_system) {
            add_topic(work, &kinds[k], NULL);
        }
        for (size_t s = 0; kinds[k].per_system && s < system_count; s++) {
            if (has_topic(work, &kinds[k], systems[s])) {
                add_topic(work, &kinds[k], systems[s]);
            }
        }
    }
}

static void report(struct work *work, const rd_kafka_event_t *event)
{
    size_t count = 0, there_count = 0;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result((rd_kafka_event_t *)(uintptr_t)event), &count);
    const char **there = mem_alloc((count + 1) * sizeof *there);
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_topic_result_name(results[i]);
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            printf("%s: created\n", name);
        } else if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            there[there_count++] = name;
        } else {
            work->code =
                cli_fail(CLI_REFUSED, "could not create %s: %s", name, rd_kafka_topic_result_error_string(results[i]));
        }
    }
    enum cli_exit checked = topic_check(work->cli, work->rk, there, there_count);
    work->code = work->code == CLI_OK ? (int)checked : work->code;
    free(there);
}

/* Before anything is asked for: creating is tried for long, and does not say why nobody answers. */
static bool is_reachable(struct work *work)
{
    struct err err = ERR_INIT;
    const struct rd_kafka_metadata *metadata = kafka_topics(work->rk, REACH_MS, &err);
    if (!metadata) {
        work->code = cli_fail_err(CLI_AWAY, &err);
        return false;
    }
    rd_kafka_metadata_destroy(metadata);
    return true;
}

static void create(struct work *work)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(work->rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(work->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_operation_timeout(options, TIMEOUT_MS, NULL, 0);
    rd_kafka_CreateTopics(work->rk, work->topics, work->count, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS + 5000);
    if (!event || rd_kafka_event_error(event)) {
        work->code = cli_fail(CLI_AWAY, "could not create topics: %s",
                              event ? rd_kafka_event_error_string(event) : "Kafka did not answer");
    } else {
        report(work, event);
    }
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
}

/* Names of systems, each once; borrowed. */
struct names {
    const struct definitions *definitions;
    const char **items;
    size_t count;
};

/* What has no connector has no jobs: `offboard validate` says so. */
static void add_system(const char *name, void *arg)
{
    struct names *names = arg;
    const struct definition *connector = definition_find(names->definitions, DEFINITION_CONNECTOR, name);
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0) {
            return;
        }
    }
    if (connector) {
        names->items[names->count++] = connector->name;
    }
}

/* Those of the configuration, or all. */
static void add_systems(struct names *names, const struct conf *conf)
{
    size_t count = definition_count(names->definitions, DEFINITION_CONNECTOR);
    names->items = mem_alloc((count + 1) * sizeof *names->items);
    for (size_t i = 0; opt.all && i < count; i++) {
        add_system(definition_item(names->definitions, DEFINITION_CONNECTOR, i)->name, names);
    }
    for (size_t i = 0; i < conf_list_size(conf, "worker.systems"); i++) {
        add_system(conf_list_item(conf, "worker.systems", i), names);
    }
    conf_each_name(conf, "systems", add_system, names);
}

/* Asks nobody: what is printed is for the person who may change Kafka's rights. */
static void show_rights(const struct cli *cli, const char *const *systems, size_t count)
{
    json_t *rights = topic_rights(cli->conf, opt.principals ? opt.principals : "User:offboard-%s", systems, count);
    if (opt.json) {
        cli_print_json(rights);
    } else {
        topic_rights_print(rights, cli->conf);
    }
    json_decref(rights);
}

static int topics_run(struct cli *cli, int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct definitions *definitions = definitions_load_or_fail(cli->conf, &(struct definition_use){0}, &err);
    if (!definitions) {
        return cli_fail_err(CLI_USAGE, &err);
    }
    struct work work = {.cli = cli, .definitions = definitions, .code = CLI_OK};
    struct names names = {.definitions = definitions};
    if (argc == 0) {
        add_systems(&names, cli->conf);
    }
    const char *const *systems = argc ? (const char *const *)argv : names.items;
    size_t count = argc ? (size_t)argc : names.count;
    if (opt.acl) {
        show_rights(cli, systems, count);
        free(names.items);
        definitions_free(definitions);
        return CLI_OK;
    }
    add_topics(&work, systems, count);
    work.rk = kafka_consumer_new(kafka_consumer_conf(cli->conf, NULL, &err), &err);
    if (!work.rk) {
        work.code = cli_fail_err(CLI_USAGE, &err);
    } else if (work.code == CLI_OK && is_reachable(&work)) {
        create(&work);
    }
    rd_kafka_NewTopic_destroy_array(work.topics, work.count);
    free(work.topics);
    free(names.items);
    if (work.rk) {
        rd_kafka_destroy(work.rk);
    }
    definitions_free(definitions);
    return work.code;
}

const struct command command_topics = {
    .name = "topics",
    .arguments = "[SYSTEM…] [--all] [--acl [--principal NAME] [--json]]",
    .summary = "Creates the Kafka topics that are missing; says what differs, or who may do what there.",
    .details = "It creates these topics, for the systems named, or else for those of the configuration:\n"
               "  intake, received, dead        HR events and what was set aside, kept 400 days\n"
               "  polled.SYSTEM                 the same from a source that polls the system\n"
               "  events, orders                kept for ever\n"
               "  control, roster               compacted, one partition\n"
               "  keys                          the same; what is erased there is gone within days\n"
               "  jobs.SYSTEM, urgent.SYSTEM    kept 90 days\n"
               "  results.SYSTEM                kept for ever\n"
               "All others get topics.partitions partitions. Never change the number of jobs.* and urgent.*:\n"
               "it decides which worker gets whose jobs.\n\n"
               "With --acl it creates nothing. It prints the commands that give each process the rights that it needs\n"
               "in Kafka, and no others: one principal for each process, and one for the worker of each system.\n\n"
               "  offboard topics\n"
               "  offboard topics okta google\n"
               "  offboard topics --acl > rights.sh\n"
               "  offboard topics --acl --principal 'User:CN=%s,O=Bank'",
    .options = (const struct cli_option[]){{"all", NULL, "for every connector that there is", NULL, &opt.all},
                                           {"acl", NULL, "print who may do what", NULL, &opt.acl},
                                           {"json", NULL, "with --acl: as JSON, for a tool of yours", NULL, &opt.json},
                                           {"principal", "NAME",
                                            "what a process is called in Kafka; %s stands for it (User:offboard-%s)",
                                            &opt.principals, NULL},
                                           {NULL, NULL, NULL, NULL, NULL}},
    .run = topics_run,
};
