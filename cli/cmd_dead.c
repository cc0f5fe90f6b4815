/* offboard dead and offboard replay: what nobody could understand, and its way back. Kafka is read here; putting back is the
 * edge's, on record. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/dead.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/time.h"

enum { LETTERS_AT_ONCE = 200 }; /* the edge takes no more */

static struct {
    const char *since;
    const char *because;
    const char *topic;
    const char *reason;
    bool all, again, json;
    int64_t from; /* `since`, read */
} opt;

/* ---- which ----------------------------------------------------------------------------------------------------------- */

/* A date-time, or how long ago. */
static int read_since(void)
{
    struct err err = ERR_INIT;
    int64_t ago;
    opt.from = INT64_MIN;
    if (!opt.since || time_parse(opt.since, &opt.from, NULL) == 0) {
        return CLI_OK;
    }
    if (time_parse_duration(opt.since, &ago, &err) != 0) {
        err_release(&err);
        return cli_fail(CLI_USAGE, "--since must be a time (2026-11-23T08:00:00Z) or how long ago (2h, 3d), not \"%s\"",
                        opt.since);
    }
    opt.from = time_now() - ago;
    return CLI_OK;
}

/* "jobs.okta" of "offboard.jobs.okta"; another's topic as it is. */
static const char *without_prefix(const struct conf *conf, const char *topic)
{
    const char *prefix = conf_string(conf, "kafka.prefix");
    size_t len = strlen(prefix);
    return strncmp(topic, prefix, len) == 0 && topic[len] == '.' ? topic + len + 1 : topic;
}

static bool is_wanted(const struct dead_letter *letter, void *arg)
{
    const struct cli *cli = arg;
    return letter->at >= opt.from && (!opt.because || (letter->reason && strstr(letter->reason, opt.because))) &&
           (!opt.topic || strcmp(letter->topic, opt.topic) == 0 ||
            strcmp(without_prefix(cli->conf, letter->topic), opt.topic) == 0);
}

static int read_letters(struct cli *cli, struct dead_letters *letters)
{
    struct err err = ERR_INIT;
    struct dead_want want = {.accepts = is_wanted, .arg = cli};
    int code = read_since();
    if (code == CLI_OK && dead_letters_read(cli->conf, &want, letters, &err) != 0) {
        code = cli_fail_err(CLI_AWAY, &err);
    }
    return code;
}

/* ---- dead ------------------------------------------------------------------------------------------------------------ */

static json_t *replays_of(const struct dead_letter *letter)
{
    json_t *list = json_array();
    size_t i;
    json_t *event;
    json_array_foreach(letter->replays, i, event)
    {
        const char *name = json_string_at(event, "context.actor.name");
        json_array_append_new(list, json_pack("{s:s?, s:s?, s:s?, s:s?}", "at", json_string_at(event, "timestamp"),
                                              "by", name ? name : json_string_at(event, "context.actor.id"), "token",
                                              json_string_at(event, "context.actor.id"), "reason",
                                              json_string_at(event, "context.reason")));
    }
    return list;
}

static json_t *key_of(const struct dead_letter *letter)
{
    json_t *key = letter->key ? json_stringn(letter->key, letter->key_len) : json_null();
    return key ? key : json_sprintf("(%zu bytes, no text)", letter->key_len);
}

static json_t *row_of(const struct conf *conf, const struct dead_letter *letter)
{
    char at[TIME_TEXT_SIZE];
    time_format(letter->at, at);
    const json_t *last = json_array_get(letter->replays, json_array_size(letter->replays) - 1);
    char *reason = secret_mask(letter->reason);
    json_t *row =
        json_pack("{s:s, s:s?, s:s?, s:s, s:I, s:b, s:o, s:s?, s:o}", "at", at, "process", letter->process, "reason",
                  reason, "value", letter->summary, "size", (json_int_t)letter->size, "whole", letter->whole, "key",
                  key_of(letter), "replayed", json_string_at(last, "timestamp"), "replays", replays_of(letter));
    json_put(row, "letter", json_sprintf("%d/%lld", letter->partition, (long long)letter->offset));
    json_put(row, "from",
             json_sprintf("%s/%d/%lld", without_prefix(conf, letter->topic), letter->from_partition,
                          (long long)letter->from_offset));
    free(reason);
    return row;
}

static int dead_run(struct cli *cli, int argc, char **argv)
{
    (void)argv;
    if (argc != 0) {
        return cli_fail(CLI_USAGE, "usage: offboard dead [--since TIME] [--topic TOPIC] [--because TEXT]");
    }
    struct dead_letters letters = {0};
    int code = read_letters(cli, &letters);
    if (code != CLI_OK) {
        return code;
    }
    json_t *rows = json_array();
    for (size_t i = 0; i < letters.count; i++) {
        json_array_append_new(rows, row_of(cli->conf, &letters.items[i]));
    }
    if (opt.json) {
        cli_print_json(rows);
    } else if (letters.count) {
        cli_print_table(rows, "letter at from process key value size replayed reason");
    } else {
        printf("no dead letters\n");
    }
    json_decref(rows);
    dead_letters_release(&letters);
    return CLI_OK;
}

/* ---- replay ---------------------------------------------------------------------------------------------------------- */

static void add_place(json_t *places, int32_t partition, int64_t offset)
{
    json_array_append_new(places, json_pack("{s:i, s:I}", "partition", (int)partition, "offset", (json_int_t)offset));
}

static int add_named(struct cli *cli, json_t *places, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        struct err err = ERR_INIT;
        int32_t partition;
        int64_t offset;
        if (dead_place_parse(cli->conf, argv[i], &partition, &offset, &err) != 0) {
            return cli_fail_err(CLI_USAGE, &err);
        }
        add_place(places, partition, offset);
    }
    return CLI_OK;
}

/* All that match and can be replayed; what can't is said. */
static int add_matching(struct cli *cli, json_t *places)
{
    struct dead_letters letters = {0};
    int code = read_letters(cli, &letters);
    for (size_t i = 0; i < letters.count; i++) {
        const struct dead_letter *letter = &letters.items[i];
        if (!letter->whole) {
            fprintf(stderr, "offboard: %d/%lld is left out: its value was too large to be set aside whole\n",
                    letter->partition, (long long)letter->offset);
        } else if (opt.again || json_array_size(letter->replays) == 0) {
            add_place(places, letter->partition, letter->offset);
        }
    }
    dead_letters_release(&letters);
    return code;
}

/* Up to LETTERS_AT_ONCE of them, from `first` on; what the edge did is added to `done`. */
static int send_some(struct cli *cli, const json_t *places, size_t first, json_t *done)
{
    json_t *some = json_array();
    for (size_t i = first; i < json_array_size(places) && i < first + LETTERS_AT_ONCE; i++) {
        json_array_append(some, json_array_get(places, i));
    }
    json_t *answer = NULL;
    enum cli_exit code = cli_edge_send(
        cli, "/v1/replays", json_pack("{s:o, s:s, s:b}", "letters", some, "reason", opt.reason, "again", opt.again),
        NULL, &answer);
    if (code == CLI_OK) {
        json_array_extend(done, json_object_get(answer, "replayed"));
        json_decref(answer);
    }
    return (int)code;
}

static int send_all(struct cli *cli, const json_t *places)
{
    json_t *done = json_array();
    int code = CLI_OK;
    for (size_t first = 0; code == CLI_OK && first < json_array_size(places); first += LETTERS_AT_ONCE) {
        code = send_some(cli, places, first, done);
    }
    size_t count = json_array_size(done);
    if (opt.json) {
        cli_print_json(done);
    } else if (count || code == CLI_OK) {
        printf("replayed %zu dead letter%s\n", count, count == 1 ? "" : "s");
    }
    json_decref(done);
    return code;
}

static int replay_run(struct cli *cli, int argc, char **argv)
{
    if (!opt.reason || !*opt.reason) {
        return cli_fail(CLI_USAGE, "replay needs --reason: the audit trail asks why");
    }
    if (opt.all == (argc > 0)) {
        return cli_fail(CLI_USAGE, "name the letters to replay (`offboard dead` lists them), or give --all");
    }
    if (!opt.all && (opt.since || opt.because || opt.topic)) {
        return cli_fail(CLI_USAGE, "--since, --topic and --because choose among --all");
    }
    json_t *places = json_array();
    int code = opt.all ? add_matching(cli, places) : add_named(cli, places, argc, argv);
    if (code == CLI_OK) {
        code = send_all(cli, places);
    }
    json_decref(places);
    return code;
}

/* ---- the commands ---------------------------------------------------------------------------------------------------- */

#define OPTIONS_WHICH                                                                                                  \
    {"since", "TIME", "set aside since then: a time, or how long ago (2h)", &opt.since, NULL},                         \
        {"topic", "TOPIC", "that came from this topic, such as received, orders or jobs.SYSTEM", &opt.topic, NULL},    \
    {                                                                                                                  \
        "because", "TEXT", "whose reason contains this", &opt.because, NULL                                            \
    }
#define OPTION_END                                                                                                     \
    {                                                                                                                  \
        NULL, NULL, NULL, NULL, NULL                                                                                   \
    }

const struct command command_dead = {
    .name = "dead",
    .arguments = "[--since TIME] [--topic TOPIC] [--because TEXT]",
    .summary = "Lists dead letters: messages that could not be understood.",
    .details =
        "Of each: its name (partition/offset on the topic of the dead letters), when it was set aside, where it came\n"
        "from, which process could not understand it and why, its key, what the value is, and whether it was\n"
        "replayed. The value itself is not shown: it may tell of a person. Times are UTC.\n\n"
        "  offboard dead --since 1d\n"
        "  offboard dead --topic intake --because \"there is no runbook\" --json",
    .options = (const struct cli_option[]){OPTIONS_WHICH, {"json", NULL, "print JSON", NULL, &opt.json}, OPTION_END},
    .run = dead_run,
};

const struct command command_replay = {
    .name = "replay",
    .arguments = "LETTER… | --all [--since TIME] [--topic TOPIC] [--because TEXT]  --reason TEXT",
    .summary = "Puts dead letters back on the topics they came from; on record.",
    .details =
        "First cure what made them dead: a definition that was missing, a process that was too old. A letter is put\n"
        "back as it came; one that still can't be understood ends as a new letter. Each is replayed once, unless\n"
        "--again is given; one that was too large to be set aside whole can't be. With --all those that were\n"
        "replayed before are left out.\n\n"
        "  offboard replay 2/17 --reason \"IT-4711: the runbook is there now\"\n"
        "  offboard replay --all --topic intake --because \"there is no runbook\" --reason IT-4711",
    .options = (const struct cli_option[]){{"all", NULL, "all that match, and were not replayed", NULL, &opt.all},
                                           OPTIONS_WHICH,
                                           {"again", NULL, "also what was replayed before", NULL, &opt.again},
                                           {"reason", "TEXT", "why; kept in the audit trail", &opt.reason, NULL},
                                           {"json", NULL, "print what was replayed as JSON", NULL, &opt.json},
                                           OPTION_END},
    .run = replay_run,
};
