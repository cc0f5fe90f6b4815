/* Sources that are asked: on a timer, the worker of a system runs the action that a source's `poll` names, and puts each item
 * that is new or changed on the system's topic `polled` as a CloudEvent. Of all replicas only the one that holds partition 0 of the system's jobs asks.
 *
 * What was published is known as long as the process lives and the system lists it. A successor publishes it again: the ids are
 * the same, and the planner knows them. */
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "lib/polled.h"
#include "lib/time.h"
#include "worker/worker_internal.h"

enum { AGAIN_S = 60 }; /* after a round that failed, when `every` is longer */

struct poll {
    struct poll *next;
    struct feed *feed;
    const struct definition *source;
    const json_t *spec; /* its `poll` */
    int64_t every;      /* microseconds, real time: another system's clock doesn't run faster in a demo */
    json_t *known;      /* id to hash, of the items of the last round that succeeded */
    int64_t due;        /* monotonic */
    int64_t since;      /* monotonic: the last success, or when this process began to ask; 0: it doesn't ask */
    bool running;
    struct job job; /* of the round under way; the message is owned */
    struct series *age;
    struct metric *rounds;
    struct metric *items;
};

/* One round's items. */
struct round {
    struct poll *poll;
    json_t *known; /* becomes the poll's */
    char now[TIME_TEXT_SIZE];
    size_t published;
    size_t unreadable;
    struct err first; /* why the first of them can't be read */
};

/* ---- one item ---------------------------------------------------------------------------------------------------- */

static void hash_of(const json_t *item, char hash[ID_SHA256_HEX_SIZE])
{
    char *text = json_dumps(item, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    id_sha256_hex(text, strlen(text), hash);
    free(text);
}

/* The person, when the source's map tells; else any partition will do, as the planner forwards. The caller frees. */
static char *key_of(const struct poll *poll, const json_t *event)
{
    struct worker *worker = poll->feed->worker;
    struct mapped mapped = {0};
    struct err err = ERR_INIT;
    mapping_apply(worker->definitions, worker->conf, event, poll->source->name, time_now(), &mapped, &err);
    char *key = mem_strdup(mapped.person ? mapped.person : json_string_at(event, "id"));
    mapped_release(&mapped);
    err_release(&err);
    return key;
}

static void on_settled(void *arg, const struct err *err)
{
    struct poll *poll = arg;
    if (err) {
        log_error("could not publish a polled item: Kafka refuses it for its size", "source", poll->source->name,
                  "error", err_text(err), NULL);
    }
}

static void publish(struct poll *poll, const json_t *event)
{
    struct worker *worker = poll->feed->worker;
    struct outgoing *outgoing = MEM_NEW(struct outgoing);
    outgoing->topic = kafka_topic(worker->conf, "polled", poll->feed->name);
    outgoing->key = key_of(poll, event);
    outgoing->type = mem_strdup(json_string_at(event, "type"));
    outgoing->id = mem_strdup(json_string_at(event, "id"));
    outgoing->value = json_text(event);
    outgoing->value_len = strlen(outgoing->value);
    outgoing->structured = true;
    outgoing->settled = on_settled;
    outgoing->arg = poll;
    outbox_send(worker, outgoing);
}

static void take_item(struct round *round, json_t *item)
{
    char hash[ID_SHA256_HEX_SIZE];
    struct err err = ERR_INIT;
    struct poll *poll = round->poll;
    json_t *event = polled_event(poll->feed->worker->definitions, poll->source, item, round->now, &err);
    if (!event) {
        if (round->unreadable++ == 0) {
            round->first = err;
            err = (struct err)ERR_INIT;
        }
        err_release(&err);
        return;
    }
    const char *id = json_string_at(event, "id");
    hash_of(item, hash);
    const char *before = json_string_value(json_object_get(poll->known, id));
    if (!before || strcmp(before, hash) != 0) {
        publish(poll, event);
        round->published++;
    }
    json_object_set_new(round->known, id, json_string(hash));
    json_decref(event);
}

/* ---- a round ----------------------------------------------------------------------------------------------------- */

static void count(struct poll *poll, struct metric *metric, const char *outcome, size_t by)
{
    series_add(metric_series(metric, poll->source->name, outcome, NULL), (double)by);
}

static void round_end(struct round *round, size_t listed)
{
    struct poll *poll = round->poll;
    if (round->unreadable) {
        char *number = mem_printf("%zu", round->unreadable);
        log_warning("polled items skipped: it can't be told which event each is", "source", poll->source->name, "items",
                    number, "error", err_text(&round->first), NULL);
        free(number);
    }
    if (round->published) {
        char *number = mem_printf("%zu", round->published);
        log_info("polled items published", "source", poll->source->name, "items", number, NULL);
        free(number);
    }
    count(poll, poll->items, "published", round->published);
    count(poll, poll->items, "unreadable", round->unreadable);
    count(poll, poll->items, "known", listed - round->published - round->unreadable);
    json_decref(poll->known);
    poll->known = round->known;
    err_release(&round->first);
}

/* Publishes what is new. -1 with the err when the answer holds no list. */
static int take_items(struct poll *poll, const json_t *outputs, struct err *err)
{
    struct round round = {.poll = poll, .first = ERR_INIT};
    time_format(time_now(), round.now);
    json_t *items = polled_items(poll->feed->worker->definitions, poll->source, outputs, round.now, err);
    if (!items) {
        return -1;
    }
    round.known = json_object();
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        take_item(&round, item);
    }
    round_end(&round, json_array_size(items));
    json_decref(items);
    return 0;
}

/* When it asks again: a deferral says when, at the earliest; what failed is asked sooner than next day. */
static void set_due(struct poll *poll, bool good, const json_t *context, int64_t started)
{
    int64_t again = AGAIN_S * TIME_SECOND;
    int64_t wait = good || poll->every < again ? poll->every : again;
    int64_t due = 0;
    const char *text = json_string_at(context, "due_at");
    poll->due = (good ? started : time_monotonic()) + wait;
    if (text && time_parse(text, &due, NULL) == 0 && time_monotonic() + due - time_now() > poll->due) {
        poll->due = time_monotonic() + due - time_now();
    }
}

static void conclude(struct poll *poll, const struct engine_result *result, int64_t started)
{
    struct err err = ERR_INIT;
    bool good = strcmp(result->outcome, "succeeded") == 0 || strcmp(result->outcome, "already_done") == 0;
    if (!feed_leads(poll->feed)) {
        return; /* somebody else asks now; what came of this is theirs to find out */
    }
    if (!good) {
        err_set(&err, ERR_RETRY, "%s: %s", result->outcome, result->message ? result->message : "");
    } else if (take_items(poll, json_object_get(result->context, "outputs"), &err) != 0) {
        good = false;
    }
    if (good) {
        poll->since = time_monotonic();
    } else {
        log_warning("could not poll", "source", poll->source->name, "system", poll->feed->name, "action",
                    json_string_at(poll->spec, "action"), "error", err_text(&err), NULL);
    }
    count(poll, poll->rounds, good ? "succeeded" : strcmp(result->outcome, "deferred") == 0 ? "deferred" : "failed", 1);
    set_due(poll, good, result->context, started);
    err_release(&err);
}

static json_t *job_message(const struct poll *poll)
{
    char *id = mem_printf("poll/%s", poll->source->name);
    json_t *job =
        json_pack("{s:s, s:s, s:s, s:O, s:O, s:i, s:O?}", "id", id, "phase", "poll", "step", poll->source->name,
                  "system", json_object_get(poll->spec, "system"), "action", json_object_get(poll->spec, "action"),
                  "attempt", 1, "with", json_object_get(poll->spec, "with"));
    json_t *message = json_pack("{s:s, s:{}, s:{}, s:s, s:o}", "id", id, "user", "ids", "mode", "live", "job", job);
    free(id);
    return message;
}

static void run(void *arg)
{
    struct poll *poll = arg;
    struct feed *feed = poll->feed;
    struct engine_result result = {.outcome = NULL};
    int64_t started = time_monotonic();
    poll->job = (struct job){.message = job_message(poll), .system = feed->name, .owner = poll};
    job_only_reads(&poll->job);
    engine_run(feed->worker->engine, &poll->job, &result);
    task_ask_for_pause(feed);
    conclude(poll, &result, started);
    engine_result_release(&result);
    json_decref(poll->job.message);
    poll->running = false;
    feed_look_again(feed); /* who comes to rest waits for it */
}

/* ---- the timer --------------------------------------------------------------------------------------------------- */

static void step(struct poll *poll, bool leading)
{
    int64_t now = time_monotonic();
    if (!leading) {
        poll->since = 0;
        series_set(poll->age, 0);
        if (poll->running && poll->job.interruption != INTERRUPT_DRAIN) {
            engine_interrupt(&poll->job, INTERRUPT_DRAIN);
        }
        return;
    }
    if (!poll->since) {
        poll->since = now;
        log_info("polls from now on", "source", poll->source->name, "system", poll->feed->name, NULL);
    }
    series_set(poll->age, (double)(now - poll->since) / 1e6);
    if (!poll->running && now >= poll->due && dispatch_open(poll->feed)) {
        poll->running = true;
        fiber_start(run, poll);
    }
}

void polls_step(struct feed *feed)
{
    bool leading = feed->polls && feed_leads(feed);
    for (struct poll *poll = feed->polls; poll; poll = poll->next) {
        step(poll, leading);
    }
}

bool polls_running(const struct feed *feed)
{
    for (const struct poll *poll = feed->polls; poll; poll = poll->next) {
        if (poll->running) {
            return true;
        }
    }
    return false;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static struct poll *poll_new(struct feed *feed, const struct definition *source, const json_t *spec)
{
    struct poll *poll = MEM_NEW(struct poll);
    poll->feed = feed;
    poll->source = source;
    poll->spec = spec;
    poll->known = json_object();
    time_parse_duration(json_string_at(spec, "every"), &poll->every, NULL);
    poll->age = metric_series(metric_new(METRIC_GAUGE, "offboard_poll_age_seconds", "source",
                                         "Since a source was last asked with success; 0 where another process asks."),
                              source->name, NULL);
    poll->rounds =
        metric_new(METRIC_COUNTER, "offboard_poll_rounds_total", "source outcome", "How often a source was asked.");
    poll->items = metric_new(METRIC_COUNTER, "offboard_poll_items_total", "source outcome",
                             "Items that sources listed: published, known already, or unreadable.");
    return poll;
}

/* That a connector is in use doesn't mean that whom it lists shall leave: polling is asked for by name. */
int polls_start(struct feed *feed, struct err *err)
{
    const struct conf *conf = feed->worker->conf;
    for (size_t i = 0; i < conf_list_size(conf, "worker.polls"); i++) {
        const char *name = conf_list_item(conf, "worker.polls", i);
        const struct definition *source = definition_find(feed->worker->definitions, DEFINITION_SOURCE, name);
        const json_t *spec = source ? json_object_get(source->tree, "poll") : NULL;
        if (!spec) {
            return err_set(err, ERR_FATAL, "worker.polls: there is no source \"%s\" with `poll`", name);
        }
        if (strcmp(json_string_at(spec, "system"), feed->name) == 0) {
            struct poll *poll = poll_new(feed, source, spec);
            poll->next = feed->polls;
            feed->polls = poll;
        }
    }
    if (!feed->polls) {
        return 0;
    }
    char *topic = kafka_topic(conf, "polled", feed->name);
    int result = kafka_producer_open(feed->worker->producer, topic, err);
    free(topic);
    return result;
}

void polls_free(struct feed *feed)
{
    while (feed->polls) {
        struct poll *poll = feed->polls;
        feed->polls = poll->next;
        json_decref(poll->known);
        free(poll);
    }
}
