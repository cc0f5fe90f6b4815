#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "logger/logger.h"

struct row *batch_add(struct batch *batch)
{
    batch->rows = mem_realloc(batch->rows, (batch->count + 1) * sizeof *batch->rows);
    struct row *row = &batch->rows[batch->count++];
    *row = (struct row){0};
    return row;
}

void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        row_release(&batch->rows[i]);
    }
    batch->count = 0;
    batch->size = 0;
}

void batch_release(struct batch *batch)
{
    batch_clear(batch);
    free(batch->rows);
    *batch = (struct batch){0};
}

/* ---- waves ------------------------------------------------------------------------------------------------------- */

static int is_initiated(const struct row *row)
{
    return strcmp(row->name, "initiated") == 0;
}

static int by_offboarding(const void *a, const void *b)
{
    const struct row *left = *(struct row *const *)a;
    const struct row *right = *(struct row *const *)b;
    int order = strcmp(left->offboarding_id, right->offboarding_id);
    order = order ? order : is_initiated(right) - is_initiated(left);
    return order ? order : (left > right) - (left < right); /* rows of one array: their order is their addresses' */
}

void batch_number_waves(struct row *rows, size_t count)
{
    struct row **sorted = mem_alloc(count * sizeof(struct row *));
    size_t changing = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].wave && !rows[i].refused) {
            sorted[changing++] = &rows[i];
        }
    }
    qsort(sorted, changing, sizeof(struct row *), by_offboarding);
    for (size_t i = 0; i < changing; i++) {
        bool same = i > 0 && strcmp(sorted[i]->offboarding_id, sorted[i - 1]->offboarding_id) == 0;
        sorted[i]->wave = same ? sorted[i - 1]->wave + 1 : 1;
    }
    free(sorted);
}

/* ---- COPY -------------------------------------------------------------------------------------------------------- */

const char batch_copy_sql[] = "COPY stage (seq, wave, topic, kafka_partition, kafka_offset, id, name, occurred_at,"
                              " offboarding_id, job_id, published_by, traceparent, raw, note, sealed) FROM STDIN";

/* One column in COPY's text format: NULL and "" are \N here, as no column of `stage` holds an empty text. */
static void add_column(struct buf *out, const char *text)
{
    if (!text || !*text) {
        buf_adds(out, "\\N");
        return;
    }
    while (*text) {
        size_t plain = strcspn(text, "\\\t\n\r");
        buf_add(out, text, plain);
        text += plain;
        if (*text) {
            char escaped[2] = {'\\', *text == '\t' ? 't' : *text == '\n' ? 'n' : *text == '\r' ? 'r' : '\\'};
            buf_add(out, escaped, sizeof escaped);
            text++;
        }
    }
}

static void add_row(struct buf *out, size_t seq, const struct row *row)
{
    buf_addf(out, "%zu\t", seq);
    if (row->wave) {
        buf_addf(out, "%d\t", row->wave);
    } else {
        buf_adds(out, "\\N\t");
    }
    buf_addf(out, "%s\t%d\t%lld", rd_kafka_topic_name(row->message->rkt), row->message->partition,
             (long long)row->message->offset);
    const char *const columns[] = {row->id,     row->name,         row->occurred_at, row->offboarding_id,
                                   row->job_id, row->published_by, row->traceparent, row->body,
                                   row->note};
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        buf_adds(out, "\t");
        add_column(out, columns[i]);
    }
    if (row->sealed) {
        buf_adds(out, "\t\\\\x");
        buf_add_hex(out, row->message->payload, row->message->len);
    } else {
        buf_adds(out, "\t\\N");
    }
    buf_adds(out, "\n");
}

void batch_copy(const struct row *rows, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].refused) {
            add_row(out, i, &rows[i]);
        }
    }
}
