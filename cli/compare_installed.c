/* What the other installation runs, asked of itself: its edge, its database, its Kafka. What doesn't answer is said, not passed over. */
#include <curl/curl.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/compare.h"
#include "lib/buf.h"
#include "lib/daemon.h"
#include "lib/json.h"
#include "lib/kafka.h"
#include "lib/mem.h"
#include "lib/migrate.h"
#include "lib/polled.h"
#include "lib/secret.h"
#include "lib/shipped.h"

enum { PATIENCE_S = 5 };

static void not_asked(struct comparison *comparison, const char *kind, const char *what, const char *why)
{
    char *text = mem_printf("could not be asked: %s", why);
    compare_add(comparison, COMPARE_WARNING, kind, what, NULL, NULL, text);
    free(text);
}

/* ---- the edge -------------------------------------------------------------------------------------------------------- */

static size_t collect(char *data, size_t size, size_t count, void *arg)
{
    return buf_add(arg, data, size * count) == 0 ? size * count : 0;
}

/* The version in the edge's answer. The caller frees; NULL: it has none. */
static char *version_in(const struct buf *answer)
{
    json_t *body = json_parse(buf_text(answer), answer->len, NULL);
    char *version = mem_strdup(json_string_at(body, "version"));
    json_decref(body);
    return version;
}

/* The caller frees; NULL with an err. */
static char *ask_version(const struct conf *there, const char *url, struct err *err)
{
    struct buf answer = BUF_INIT;
    char *token = mem_printf("Authorization: Bearer %s", conf_string(there, "edge.token"));
    struct curl_slist *headers = curl_slist_append(NULL, token);
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)PATIENCE_S);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    CURLcode code = curl_easy_perform(easy);
    char *version = code == CURLE_OK ? version_in(&answer) : NULL;
    if (!version) {
        err_set(err, ERR_RETRY, "%s", code == CURLE_OK ? "it tells no version" : curl_easy_strerror(code));
    }
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    secret_wipe(token);
    free(token);
    buf_release(&answer);
    return version;
}

static void ask_edge(struct comparison *comparison)
{
    struct err err = ERR_INIT;
    char *url = mem_printf("%s/v1/version", conf_string(comparison->there, "edge.url"));
    char *version = NULL;
    if (conf_string(comparison->there, "edge.token")) {
        version = ask_version(comparison->there, url, &err);
    } else {
        err_set(&err, ERR_PERMANENT, "edge.token is not known here");
    }
    if (!version) {
        char *what = mem_printf("the producer at %s", url);
        not_asked(comparison, "version", what, err_text(&err));
        free(what);
    } else if (strcmp(version, offboard_version) != 0) {
        compare_add(comparison, COMPARE_WARNING, "version", "the programs", offboard_version, version, NULL);
    }
    err_release(&err);
    free(version);
    free(url);
}

/* ---- the database ---------------------------------------------------------------------------------------------------- */

static void compare_migrations(struct comparison *comparison, const json_t *row)
{
    struct err err = ERR_INIT;
    char *directory = shipped_directory("schema");
    int newest = directory ? migrate_newest(directory, &err) : -1;
    int there = (int)json_int_at(row, "version", 0);
    if (newest >= 0 && newest != there) {
        char *ours = mem_printf("migration %d", newest);
        char *theirs = mem_printf("migration %d", there);
        compare_add(
            comparison, newest > there ? COMPARE_ERROR : COMPARE_WARNING, "version", "the database", ours, theirs,
            newest > there ? "`offboard migrate` brings it to this version" : "it is newer than these programs");
        free(ours);
        free(theirs);
    }
    free(directory);
    err_release(&err);
}

/* What plans were made from last, by kind and name. */
static void compare_recorded(struct comparison *comparison, const json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        for (int kind = DEFINITION_SOURCE; kind <= DEFINITION_CONNECTOR; kind++) {
            const char *name = json_string_at(row, "name");
            const struct definition *ours = definition_find(comparison->definitions, (enum definition_kind)kind, name);
            if (strcmp(definition_kind_name((enum definition_kind)kind), json_string_at(row, "kind")) == 0 && ours &&
                strcmp(ours->hash, json_string_at(row, "hash")) != 0) {
                char *what = mem_printf("%s %s", definition_kind_name((enum definition_kind)kind), name);
                char *why =
                    mem_printf("plans were last made from another text there (since %s)", json_string_at(row, "since"));
                compare_add(comparison, COMPARE_WARNING, "definition", what, NULL, NULL, why);
                free(why);
                free(what);
            }
        }
    }
}

static void ask_database(struct comparison *comparison, struct cli *cli)
{
    struct err err = ERR_INIT;
    if (conf_unread(comparison->there, "postgres.analyst") || !conf_string(comparison->there, "postgres.analyst")) {
        not_asked(comparison, "version", "the database", "postgres.analyst is not known here");
        return;
    }
    json_t *version =
        cli_rows(cli, &err, "SELECT to_jsonb(m) FROM analyst.migrations m ORDER BY m.version DESC LIMIT 1", 0, NULL);
    json_t *recorded = version ? cli_rows(cli, &err,
                                          "SELECT jsonb_build_object('kind', d.kind, 'name', d.name, 'hash', d.hash, "
                                          "'since', d.published_at::date)"
                                          " FROM (SELECT DISTINCT ON (kind, name) * FROM analyst.definitions ORDER BY "
                                          "kind, name, published_at DESC) d",
                                          0, NULL)
                               : NULL;
    if (!recorded) {
        not_asked(comparison, "version", "the database", err_text(&err));
    } else {
        compare_migrations(comparison, json_array_get(version, 0));
        compare_recorded(comparison, recorded);
    }
    json_decref(version);
    json_decref(recorded);
    err_release(&err);
}

/* ---- Kafka ----------------------------------------------------------------------------------------------------------- */

struct topics {
    struct comparison *comparison;
    const struct rd_kafka_metadata *metadata;
};

static void need_topic(struct topics *topics, const char *kind, const char *system)
{
    char *name = kafka_topic(topics->comparison->there, kind, system);
    bool found = false;
    for (int i = 0; i < topics->metadata->topic_cnt && !found; i++) {
        found = strcmp(topics->metadata->topics[i].topic, name) == 0;
    }
    if (!found) {
        compare_add(topics->comparison, COMPARE_ERROR, "topic", name, NULL, NULL,
                    "lacking there: `offboard topics` makes it");
    }
    free(name);
}

static void need_topics_of(const char *system, void *arg)
{
    need_topic(arg, "jobs", system);
    need_topic(arg, "urgent", system);
    need_topic(arg, "results", system);
    if (source_polls(((struct topics *)arg)->comparison->definitions, system)) {
        need_topic(arg, "polled", system);
    }
}

static void ask_kafka(struct comparison *comparison)
{
    static const char *const common[] = {"intake", "received", "events", "orders", "control", "roster", "keys", "dead"};
    struct err err = ERR_INIT;
    rd_kafka_t *rk = kafka_consumer_new(kafka_consumer_conf(comparison->there, NULL, &err), &err);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code =
        rk ? rd_kafka_metadata(rk, 1, NULL, &metadata, PATIENCE_S * 1000) : RD_KAFKA_RESP_ERR__FAIL;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        not_asked(comparison, "topic", conf_string(comparison->there, "kafka.brokers"),
                  rk ? rd_kafka_err2str(code) : err_text(&err));
    } else {
        struct topics topics = {comparison, metadata};
        for (size_t i = 0; i < COUNT_OF(common); i++) {
            need_topic(&topics, common[i], NULL);
        }
        conf_each_name(comparison->there, "systems", need_topics_of, &topics);
        rd_kafka_metadata_destroy(metadata);
    }
    if (rk) {
        rd_kafka_destroy(rk);
    }
    err_release(&err);
}

void compare_installed(struct comparison *comparison, struct cli *cli)
{
    ask_edge(comparison);
    ask_database(comparison, cli);
    ask_kafka(comparison);
}
