/* links: tests/fuzz/shipped.c producer/api.c producer/submit.c producer/webhook.c producer/signals.c producer/orders.c producer/order_answers.c */
/* links: producer/replays.c producer/results.c producer/order_keys.c */
#include "tests/fuzz/edge_stand.h"

#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/dead.h"
#include "lib/log.h"
#include "lib/signature.h"
#include "producer/edge_internal.h"
#include "producer/order_keys.h"
#include "tests/fuzz/shipped.h"

static struct http_options server; /* as the edge started it */
static uv_loop_t loop;
static json_t *headers; /* of the request in hand */
static int answers;     /* to it */
static int status;
static void (*on_record)(const struct kafka_record *record);
static struct order_keys *order_keys; /* of one request alone: what an input does depends on no other */

static struct edge *edge_of_stand(void)
{
    static struct edge *edge;
    if (!edge) {
        struct err err = ERR_INIT;
        log_init("fuzz", LOG_ERROR);
        uv_loop_init(&loop);
        fuzz_definitions();
        edge = edge_start(fuzz_conf(), &loop, &producer_api, NULL, NULL, &err);
        fprintf(stderr, "%s", edge ? "" : err_text(&err));
        FUZZ_CHECK(edge && server.handle);
    }
    return edge;
}

int edge_stand_request(struct fuzz_input *input, void (*each)(const struct kafka_record *record))
{
    struct edge *edge = edge_of_stand();
    char *method = fuzz_line(input), *line;
    char *path = strchr(method, ' ') ? strchr(method, ' ') + 1 : method + strlen(method);
    method[strcspn(method, " ")] = '\0';
    headers = json_object();
    for (line = fuzz_line(input); *line; free(line), line = fuzz_line(input)) {
        char *colon = strstr(line, ": "), *name = mem_strndup(line, strcspn(line, ":")), *lower = json_lower(name);
        json_put_string(headers, lower, colon ? colon + 2 : "");
        free(lower);
        free(name);
    }
    char *body = mem_alloc(input->left + 1);
    memcpy(body, input->left ? input->at : (const uint8_t *)"", input->left);
    struct http_request request = {
        .method = method, .path = path, .address = "192.0.2.1", .body = body, .body_len = input->left};
    answers = 0;
    on_record = each;
    order_keys_free(order_keys);
    order_keys = order_keys_new();
    if (server.admit(&request, server.arg)) {
        server.handle(&request, server.arg);
    }
    while (!answers || edge->open) {
        uv_run(&loop, answers ? UV_RUN_NOWAIT : UV_RUN_ONCE); /* dead letters are read in a thread; timers close */
    }
    FUZZ_CHECK(answers == 1);
    json_decref(headers);
    free(request.caller);
    free(body);
    free(line);
    free(method);
    return status;
}

/* ---- in place of lib/http_server.c, lib/http_reply.c --------------------------------------------------------------------------- */

struct http_server *http_server_start(const struct http_options *options, struct err *err)
{
    (void)err;
    server = options->handle ? *options : server; /* the other one serves metrics */
    return (struct http_server *)&server;
}

int http_server_port(const struct http_server *started)
{
    (void)started;
    return 1;
}

void http_server_stop(struct http_server *started)
{
    (void)started;
}

void http_server_close_connections(struct http_server *started)
{
    (void)started;
}

void http_server_drain(struct http_server *started, int64_t within_ms, void (*drained)(void *arg), void *arg)
{
    (void)started;
    (void)within_ms;
    (void)drained;
    (void)arg;
}

const char *http_reason(int code)
{
    (void)code;
    return "Status";
}

const char *http_header(const struct http_request *request, const char *name)
{
    (void)request;
    char *lower = json_lower(name);
    const char *value = json_string_value(json_object_get(headers, lower));
    free(lower);
    return value;
}

json_t *http_headers(const struct http_request *request)
{
    (void)request;
    return json_copy(headers);
}

void http_reply(struct http_request *request, int code, const char *const *more, json_t *body)
{
    (void)request;
    (void)more;
    answers++;
    status = code;
    json_decref(body);
}

void http_reply_problem(struct http_request *request, int code, json_t *problem)
{
    http_reply(request, code, NULL, problem);
}

void http_problem(struct http_request *request, int code, const char *title, const char *field, const char *detail)
{
    json_t *problem = json_pack("{s:s, s:s, s:s?}", "title", title, "detail", detail, "field", field);
    FUZZ_CHECK(problem); /* all of it is UTF-8 */
    http_reply(request, code, NULL, problem);
}

/* ---- in place of lib/kafka_producer.c, lib/dead.c, keysets.c, the planner ------------------------------------------------------------------ */

struct kafka_producer *kafka_producer_new(const struct conf *conf, struct err *err)
{
    (void)conf;
    (void)err;
    return (struct kafka_producer *)&server;
}

struct kafka_health *kafka_health_start(struct kafka_producer *producer, struct err *err)
{
    (void)err;
    return (struct kafka_health *)producer;
}

void kafka_health_stop(struct kafka_health *health)
{
    (void)health;
}

bool kafka_answers(struct kafka_health *health, char **why)
{
    (void)why;
    return health != NULL;
}

int kafka_producer_open(struct kafka_producer *producer, const char *topic, struct err *err)
{
    (void)producer;
    (void)err;
    return topic ? 0 : -1;
}

int kafka_produce(struct kafka_producer *producer, const struct kafka_record *record, kafka_delivered *delivered,
                  void *arg, struct err *err)
{
    (void)producer;
    (void)err;
    on_record(record);
    delivered(arg, NULL);
    return 0;
}

void kafka_producer_seal_with(struct kafka_producer *producer, struct keyring *keyring)
{
    (void)producer;
    (void)keyring;
}

bool kafka_key_erased(struct kafka_producer *producer, const struct kafka_record *record)
{
    (void)producer;
    (void)record;
    return false;
}

int kafka_producer_fd(struct kafka_producer *producer)
{
    (void)producer;
    static int fd = -1;
    return fd = fd < 0 ? eventfd(0, EFD_NONBLOCK) : fd;
}

void kafka_producer_poll(struct kafka_producer *producer)
{
    (void)producer;
}

void kafka_producer_free(struct kafka_producer *producer, int64_t timeout)
{
    (void)producer;
    (void)timeout;
}

int dead_letters_read(const struct conf *conf, const struct dead_want *want, struct dead_letters *letters,
                      struct err *err)
{
    (void)conf;
    (void)want;
    (void)letters;
    return err_set(err, ERR_RETRY, "there is no Kafka here");
}

void dead_letters_release(struct dead_letters *letters)
{
    (void)letters;
}

bool *replay_forged(const struct conf *conf, const struct dead_letters *letters, struct err *err)
{
    FUZZ_CHECK(!conf && !letters); /* there are none */
    err_set(err, ERR_RETRY, "there is no Kafka here");
    return NULL;
}

bool replay_is_ours(const struct conf *conf, const char *topic)
{
    return conf && *topic;
}

const struct dead_letter *dead_letter_find(const struct dead_letters *letters, int32_t partition, int64_t offset)
{
    (void)letters;
    (void)partition;
    (void)offset;
    return NULL;
}

const json_t *keysets_find(struct edge *edge, const char *url)
{
    (void)edge;
    (void)url;
    return NULL;
}

bool keysets_wait(struct edge *edge, const char *url, struct http_request *request, keysets_resume *resume, char **away)
{
    (void)edge;
    (void)url;
    (void)request;
    (void)resume;
    *away = mem_strdup("there is no network here");
    return false;
}

void keysets_stop(struct edge *edge)
{
    (void)edge;
}

struct order_keys *planner_order_keys(struct planner *planner)
{
    (void)planner;
    return order_keys;
}

bool planner_ready(struct planner *planner, char **why)
{
    (void)planner;
    (void)why;
    return true;
}

/* ---- in place of lib/signature.c, which has a target of its own ------------------------------------------------------------------ */

enum signature_verdict signature_check(const json_t *words, signature_keys *keys, void *arg,
                                       const struct signature_request *request, struct err *err)
{
    (void)words;
    (void)keys;
    (void)arg;
    bool forged = request->header("x-forged", request->arg) != NULL;
    return forged ? err_set(err, ERR_PERMANENT, "it is forged"), SIGNATURE_WRONG : SIGNATURE_GOOD;
}

enum signature_verdict signature_check_head(const json_t *words, signature_keys *keys, void *arg,
                                            const struct signature_request *request, struct err *err)
{
    return signature_check(words, keys, arg, request, err);
}

const char *signature_verdict_name(enum signature_verdict verdict)
{
    return verdict == SIGNATURE_GOOD ? "good" : "wrong";
}

bool signature_declared(const json_t *words)
{
    return json_object_get(words, "signature") || json_object_get(words, "token") || json_object_get(words, "jwt");
}

bool signature_reads(const json_t *words, const char *header)
{
    (void)words;
    return strcmp(header, "x-secret") == 0;
}

char *signature_key(const json_t *signature, const char *text, size_t *len, struct err *err)
{
    (void)signature;
    (void)err;
    *len = strlen(text);
    return mem_strdup(text);
}
