/* POST /v1/replays: puts dead letters back on the topics they came from, and on record who did so, and why.
 *
 * The topic of the letters is read in a thread of libuv's pool, one request at a time: of two for the same letter the second
 * finds the first one's record. A letter's record is written when its message is in Kafka; should the process die in between,
 * the letter counts as not replayed, and doing it again is harmless: jobs are idempotent by id and attempt, HR events and events
 * by id. */
#include <stdlib.h>
#include <string.h>

#include "lib/dead.h"
#include "lib/id.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/time.h"
#include "producer/edge_internal.h"

enum {
    REPLAY_MAGIC = 0x5245504c,
    LETTERS_LIMIT = 200,
    TEXT_LIMIT = 1000, /* bytes of a reason or a name */
};

struct replay {
    int magic;
    uv_work_t work;
    uv_sem_t read; /* posted when the thread is done */
    struct edge *edge;
    struct http_request *request; /* NULL: answered, the edge is gone */
    json_t *body;
    char *token;
    struct dead_letters letters;
    bool *forged;   /* of each of them: it is not what its topic holds */
    struct err err; /* why they could not be read */
};

static void replay_free(struct replay *replay)
{
    uv_sem_destroy(&replay->read);
    json_decref(replay->body);
    free(replay->token);
    free(replay->forged);
    dead_letters_release(&replay->letters);
    err_release(&replay->err);
    replay->magic = 0;
    free(replay);
}

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

static bool is_place(const json_t *item)
{
    const json_t *partition = json_object_get(item, "partition"), *offset = json_object_get(item, "offset");
    return json_is_integer(partition) && json_integer_value(partition) >= 0 &&
           json_integer_value(partition) <= INT32_MAX && json_is_integer(offset) && json_integer_value(offset) >= 0;
}

static int check_body(const json_t *body, struct err *err)
{
    const json_t *letters = json_object_get(body, "letters");
    if (!json_is_array(letters) || json_array_size(letters) == 0 || json_array_size(letters) > LETTERS_LIMIT) {
        return err_set(err, ERR_PERMANENT, "letters must be a list of 1 to %d objects {partition, offset}",
                       LETTERS_LIMIT);
    }
    size_t i;
    json_t *item;
    json_array_foreach(letters, i, item)
    {
        if (!is_place(item)) {
            return err_set(err, ERR_PERMANENT, "letters: item %zu must be {partition, offset}, whole numbers from 0",
                           i + 1);
        }
    }
    const json_t *again = json_object_get(body, "again");
    if (again && !json_is_boolean(again)) {
        return err_set(err, ERR_PERMANENT, "again must be true or false");
    }
    const char *reason = json_string_at(body, "reason");
    if (!reason || !*reason) {
        return err_set(err, ERR_PERMANENT, "reason is missing: the audit trail asks why");
    }
    const json_t *name = json_object_get(body, "requested_by");
    if (name && !json_is_null(name) && !json_is_string(name)) {
        return err_set(err, ERR_PERMANENT, "requested_by must be a text");
    }
    if (strlen(reason) > TEXT_LIMIT || json_string_length(name) > TEXT_LIMIT) {
        return err_set(err, ERR_PERMANENT, "%s is longer than %d bytes",
                       strlen(reason) > TEXT_LIMIT ? "reason" : "requested_by", TEXT_LIMIT);
    }
    return 0;
}

/* In the reader's thread: only what is asked for is kept. */
static bool asked_for(const struct dead_letter *letter, void *arg)
{
    const struct replay *replay = arg;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(replay->body, "letters"), i, item)
    {
        if (json_int_at(item, "partition", -1) == letter->partition &&
            json_int_at(item, "offset", -1) == letter->offset) {
            return true;
        }
    }
    return false;
}

static void read_letters(uv_work_t *work)
{
    struct replay *replay = work->data;
    struct dead_want want = {.accepts = asked_for, .arg = replay, .values = true};
    if (dead_letters_read(replay->edge->conf, &want, &replay->letters, &replay->err) == 0) {
        replay->forged = replay_forged(replay->edge->conf, &replay->letters, &replay->err);
    }
    uv_sem_post(&replay->read);
}

/* ---- may it be replayed? ----------------------------------------------------------------------------------------- */

/* 0, or the status to answer, with the reason. */
static int refusal(const struct replay *replay, const struct dead_letter *letter, struct err *err)
{
    if (!replay_is_ours(replay->edge->conf, letter->topic)) { /* its header could name any */
        err_set(err, ERR_PERMANENT, "came from the topic \"%s\", which is none of ours", letter->topic);
        return 422;
    }
    if (!letter->whole) {
        err_set(err, ERR_PERMANENT,
                "holds %zu of %zu bytes: the value was too large to be set aside whole, so it can't be replayed; the "
                "message as it came is at %s/%d/%lld, as long as that topic keeps it",
                letter->value_len, letter->size, letter->topic, letter->from_partition, (long long)letter->from_offset);
        return 422;
    }
    if (replay->forged[letter - replay->letters.items]) {
        err_set(
            err, ERR_PERMANENT,
            "is not what lies at %s/%d/%lld: that record is gone, or the letter is forged; ask the sender to send it "
            "again",
            letter->topic, letter->from_partition, (long long)letter->from_offset);
        return 422;
    }
    size_t before = json_array_size(letter->replays);
    if (before && !json_true_at(replay->body, "again")) {
        const json_t *last = json_array_get(letter->replays, before - 1);
        err_set(err, ERR_PERMANENT, "was replayed at %s (%s); `again` does so once more",
                json_string_at(last, "timestamp"), json_string_at(last, "response.message"));
        return 409;
    }
    return 0;
}

/* All of them or none: 0, or the status to answer. */
static int check_letters(const struct replay *replay, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(replay->body, "letters"), i, item)
    {
        int32_t partition = (int32_t)json_int_at(item, "partition", -1);
        int64_t offset = json_int_at(item, "offset", -1);
        const struct dead_letter *letter = dead_letter_find(&replay->letters, partition, offset);
        struct err why = ERR_INIT;
        int status = letter ? refusal(replay, letter, &why) : 404;
        if (status) {
            err_set(err, ERR_PERMANENT, "the letter %d/%lld %s", partition, (long long)offset,
                    letter ? err_text(&why) : "is not there");
            err_release(&why);
            return status;
        }
    }
    return 0;
}

/* ---- replaying --------------------------------------------------------------------------------------------------- */

/* Jobs and events are keyed by their offboarding: its audit shows the replay. NULL: none. */
static const char *offboarding_of(const struct dead_letter *letter)
{
    return letter->key && letter->key_len == ID_LEN && id_valid(letter->key) ? letter->key : NULL;
}

static json_t *event_new(const struct replay *replay, const struct dead_letter *letter)
{
    const char *name = json_string_at(replay->body, "requested_by");
    const char *reason = json_string_at(replay->body, "reason");
    json_t *context =
        json_pack("{s:{s:i, s:I}, s:{s:s, s:i, s:I}, s:{s:s, s:s, s:s?}, s:s}", "letter", "partition",
                  (int)letter->partition, "offset", (json_int_t)letter->offset, "record", "topic", letter->topic,
                  "partition", (int)letter->from_partition, "offset", (json_int_t)letter->from_offset, "actor", "kind",
                  "token", "id", replay->token, "name", name, "reason", reason);
    json_put_string(context, "process", letter->process);
    json_put_string(context, "dead_reason", letter->reason);
    json_t *event = message_event_new(DEAD_REPLAYED, offboarding_of(letter), context);
    char *said = mem_printf("replayed by %s%s%s%s: %s", name ? name : "", name ? " (token " : "token ", replay->token,
                            name ? ")" : "", reason);
    message_event_response(event, 0, said);
    free(said);
    return event;
}

/* The message is back: now the audit says so, and so does the topic of the letters, which the next replay reads. */
static void put_on_record(struct exchange *exchange, json_t *event)
{
    static const char *const personal[] = {"reason", "dead_reason"};
    const struct conf *conf = exchange->edge->conf;
    char *topic = kafka_topic(conf, "dead", NULL);
    int32_t partition = (int32_t)json_int_at(event, "context.letter.partition", 0);
    char *place = mem_printf("%s/%d/%lld", topic, partition, (long long)json_int_at(event, "context.letter.offset", 0));
    exchange_produce_message(exchange,
                             &(struct edge_message){.topic = topic,
                                                    .partition = partition,
                                                    .key = place,
                                                    .value = event,
                                                    .type = DEAD_REPLAYED,
                                                    .id = json_string_at(event, "id")},
                             NULL, NULL);
    const char *offboarding = json_string_at(event, "context.offboarding_id");
    json_t *keyless = message_event_without(event, personal, COUNT_OF(personal), "replayed");
    exchange_produce_event(exchange, offboarding ? offboarding : place, json_incref(event), keyless, NULL);
    json_decref(keyless);
    log_info("a dead letter was replayed", "letter", place, "topic", json_string_at(event, "context.record.topic"),
             "token", json_string_at(event, "context.actor.id"), NULL);
    free(place);
    free(topic);
}

/* A worker's answer, which only the worker may write to its topic: the logger takes it from that of orders, where the API speaks. */
static bool is_answer(const struct edge *edge, const struct dead_letter *letter)
{
    return kafka_topic_system(edge->conf, "results", letter->topic) != NULL;
}

static void put_back(const struct replay *replay, struct exchange *exchange, const struct dead_letter *letter)
{
    char *topic = kafka_topic(replay->edge->conf, "dead", NULL);
    char *place = mem_printf("%s/%d/%lld", topic, letter->partition, (long long)letter->offset);
    const char *orders = is_answer(replay->edge, letter) ? replay->edge->orders : NULL;
    char since[TIME_TEXT_SIZE];
    time_format(letter->since, since);
    const char *const headers[] = {DEAD_FROM,     place, DEAD_SINCE, since, orders ? DEAD_BACK_TO : NULL,
                                   letter->topic, NULL};
    struct kafka_record record = {.topic = orders ? orders : letter->topic,
                                  .partition = letter->key ? RD_KAFKA_PARTITION_UA : letter->from_partition,
                                  .key = letter->key,
                                  .key_len = letter->key_len,
                                  .value = letter->value,
                                  .value_len = letter->value_len,
                                  .headers = headers,
                                  .copied_headers = letter->headers};
    exchange_produce_then(exchange, &record, put_on_record, event_new(replay, letter));
    free(place);
    free(topic);
}

static void put_all_back(struct replay *replay)
{
    struct exchange *exchange = exchange_new(replay->edge, replay->request);
    json_t *done = json_array();
    for (size_t i = 0; i < replay->letters.count; i++) {
        const struct dead_letter *letter = &replay->letters.items[i];
        put_back(replay, exchange, letter);
        json_array_append_new(done, json_pack("{s:i, s:I, s:s}", "partition", (int)letter->partition, "offset",
                                              (json_int_t)letter->offset, "topic", letter->topic));
    }
    exchange_seal(exchange, json_pack("{s:o}", "replayed", done));
}

static void refuse(const struct replay *replay, int status, struct err *err)
{
    const char *title = status == 404   ? "Not Found"
                        : status == 409 ? "Conflict"
                        : status == 422 ? "Unprocessable Content"
                                        : "Service Unavailable";
    edge_count(replay->edge, status);
    http_problem(replay->request, status, title, status == 503 ? NULL : "letters", err_text(err));
    err_release(err);
}

static void on_read(uv_work_t *work, int cancelled)
{
    (void)cancelled;
    struct replay *replay = work->data;
    if (!replay || replay->magic != REPLAY_MAGIC) {
        return;
    }
    if (replay->request) {
        replay->edge->replay = NULL;
        struct err err = ERR_INIT;
        int status = 503;
        if (replay->err.class != ERR_NONE) {
            refuse(replay, status, &replay->err);
        } else if ((status = check_letters(replay, &err)) != 0) {
            refuse(replay, status, &err);
        } else {
            put_all_back(replay);
        }
    }
    replay_free(replay);
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static void begin(struct edge *edge, struct http_request *request, json_t *body, char *token)
{
    struct replay *replay = MEM_NEW(struct replay);
    *replay = (struct replay){
        .magic = REPLAY_MAGIC, .edge = edge, .request = request, .body = body, .token = token, .err = ERR_INIT};
    replay->work.data = replay;
    uv_sem_init(&replay->read, 0);
    edge->replay = replay;
    uv_queue_work(edge->loop, &replay->work, read_letters, on_read);
}

void replays_handle(struct edge *edge, struct http_request *request)
{
    struct err err = ERR_INIT;
    json_t *body = json_parse(request->body, request->body_len, &err);
    if (body && check_body(body, &err) == 0 && !edge->replay) {
        begin(edge, request, body, mem_strdup(request->caller));
        return;
    }
    if (err.class != ERR_NONE) {
        edge_refuse(edge, request, body ? 422 : 400, &err);
    } else {
        edge_count(edge, 409);
        http_problem(request, 409, "Conflict", NULL, "another replay is under way: try again in a moment");
    }
    json_decref(body);
}

void replays_stop(struct edge *edge)
{
    struct replay *replay = edge->replay;
    if (replay) {
        uv_sem_wait(&replay->read);
        edge_count(edge, 503);
        http_problem(replay->request, 503, "Service Unavailable", NULL,
                     "the edge is stopping: nothing was replayed, send the same again");
        replay->request = NULL;
        edge->replay = NULL;
    }
}
