/* Orders, and what became of them: the edge has handed them to Kafka, the logger carries them out or refuses them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"

#define PATIENCE  (10 * TIME_SECOND)       /* for one order */
#define PER_ORDER (2 * TIME_SECOND / 1000) /* more, for each of many */
#define LOOK_MS   200

enum { SHOWN_MAX = 10 };

/* The ids as PostgreSQL writes an array. The caller frees. */
static char *array_of(const json_t *ids)
{
    struct buf text = BUF_INIT;
    size_t i;
    json_t *id;
    buf_adds(&text, "{");
    json_array_foreach(ids, i, id)
    {
        buf_addf(&text, "%s%s", i ? "," : "", json_string_value(id));
    }
    buf_adds(&text, "}");
    return buf_take(&text);
}

static json_t *recorded(struct cli *cli, const char *ids, struct err *err)
{
    return cli_rows(
        cli, err,
        "SELECT jsonb_build_object('order_id', o.order_id, 'subject', o.subject, 'result', o.result, 'why', o.why)"
        " FROM analyst.orders o WHERE o.order_id = ANY ($1::uuid[]) AND o.recorded_at > now() - interval '1 hour'",
        1, &ids);
}

/* Was it refused because what it names is not there? */
static bool names_nothing(const json_t *result)
{
    const char *why = json_says(result, "result", "refused") ? json_string_at(result, "why") : NULL;
    return why && (strstr(why, "unknown") || strstr(why, "no open") || strstr(why, "no such"));
}

/* Of orders whose results are all known. */
static enum cli_exit verdict(const json_t *results)
{
    size_t nowhere = 0;
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result)
    {
        nowhere += names_nothing(result);
    }
    if (nowhere && nowhere == json_array_size(results)) {
        return CLI_NOT_FOUND;
    }
    return json_count(results, "result", "refused") ? CLI_REFUSED : CLI_OK;
}

static enum cli_exit await_results(struct cli *cli, const json_t *ids, json_t **results)
{
    struct err err = ERR_INIT;
    size_t count = json_array_size(ids);
    char *array = array_of(ids);
    int64_t until = time_monotonic() + PATIENCE + (int64_t)count * PER_ORDER;
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    *results = NULL;
    for (;;) {
        json_t *rows = recorded(cli, array, &err);
        if (!rows) {
            fprintf(stderr, "offboard: what became of the order can't be read: %s\n", err_text(&err));
            break;
        }
        json_decref(*results);
        *results = rows;
        if (json_array_size(rows) >= count || time_monotonic() > until) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    free(array);
    err_release(&err);
    return json_array_size(*results) >= count ? verdict(*results) : CLI_AWAY;
}

/* Those with this result, and why; of thousands the first ten show what they have in common. Returns how many they are. */
static size_t tell_some(FILE *out, const json_t *results, const char *result, const char *words)
{
    size_t told = 0;
    size_t i;
    json_t *row;
    json_array_foreach(results, i, row)
    {
        if (json_says(row, "result", result) && told++ < SHOWN_MAX) {
            fprintf(out, "%s: %s: %s\n", words, json_string_at(row, "subject"), json_string_at(row, "why"));
        }
    }
    if (told > SHOWN_MAX) {
        fprintf(out, "%s: %zu more\n", words, told - SHOWN_MAX);
    }
    return told;
}

static void tell(size_t count, const json_t *results, bool sent_only, const char *done)
{
    size_t refused = tell_some(stderr, results, "refused", "offboard: refused");
    if (sent_only || json_array_size(results) < count) {
        printf("sent; the view analyst.orders will say what became of it%s\n",
               sent_only ? "" : ": the logger has not recorded it yet");
        return;
    }
    size_t unchanged = tell_some(stdout, results, "unchanged", "nothing to do");
    if (refused + unchanged < count) {
        printf("%s\n", done);
        if (refused) {
            printf("%zu of %zu were refused\n", refused, count);
        }
    }
}

enum cli_exit cli_order(struct cli *cli, json_t *order, const struct cli_ordering *ordering)
{
    json_t *answer = NULL, *results = NULL;
    char *line = ordering->key ? mem_printf("Idempotency-Key: %s", ordering->key) : NULL;
    enum cli_exit code = cli_edge_send(cli, "/v1/orders", order, (const char *const[]){line, NULL}, &answer);
    free(line);
    if (code != CLI_OK) {
        return code;
    }
    const json_t *ids = json_object_get(answer, "ids");
    if (!ordering->no_wait) {
        code = await_results(cli, ids, &results);
    }
    if (ordering->json) {
        json_put(answer, "results", json_incref(results));
        cli_print_json(answer);
    } else {
        tell(json_array_size(ids), results, ordering->no_wait, ordering->done);
    }
    json_decref(results);
    json_decref(answer);
    return code;
}
