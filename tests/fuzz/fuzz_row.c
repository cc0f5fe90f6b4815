/* logger/row.c, logger/batch.c: what the logger makes of a record. What COPY sends holds each column as it was, in one line. The first
 * line says who writes its topic: control, orders, a system, or else we ourselves. */
/* links: tests/fuzz/record.c logger/row.c logger/batch.c logger/origin.c */
#include "logger/logger.h"
#include "tests/fuzz/record.h"

enum { COLUMNS = 15 };

/* Undoes COPY's text format up to the next tab or line break; the caller frees. NULL: \N. */
static char *next_column(const char **at)
{
    struct buf out = BUF_INIT;
    bool null = strncmp(*at, "\\N", 2) == 0;
    for (; **at && **at != '\t' && **at != '\n'; (*at)++) {
        char c = **at;
        if (c == '\\') {
            c = *++*at;
            FUZZ_CHECK(c && strchr("\\tnrN", c));
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        }
        buf_add(&out, &c, 1);
    }
    *at += **at != '\0';
    if (null) {
        buf_release(&out);
        return NULL;
    }
    return out.data ? buf_take(&out) : mem_strdup("");
}

static bool same(const char *column, const char *text)
{
    return column ? strcmp(column, text) == 0 : !text || !*text;
}

static void check_copy(const struct row *row)
{
    struct buf copy = BUF_INIT;
    batch_copy(row, 1, &copy);
    const char *at = buf_text(&copy);
    char *columns[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++) {
        columns[i] = next_column(&at);
    }
    FUZZ_CHECK(!*at && copy.data[copy.len - 1] == '\n');
    FUZZ_CHECK(same(columns[5], row->id) && same(columns[6], row->name) && same(columns[7], row->occurred_at));
    FUZZ_CHECK(same(columns[8], row->offboarding_id) && same(columns[9], row->job_id));
    FUZZ_CHECK(same(columns[10], row->published_by) && same(columns[11], row->traceparent));
    FUZZ_CHECK(same(columns[12], row->body) && same(columns[13], row->note));
    FUZZ_CHECK(!columns[14] == !row->sealed);
    FUZZ_CHECK(!row->note || (!row->wave && strcmp(row->name, "violation") == 0));
    json_t *body = json_parse(row->body, strlen(row->body), NULL);
    FUZZ_CHECK(json_is_object(body));
    json_decref(body);
    for (size_t i = 0; i < COLUMNS; i++) {
        free(columns[i]);
    }
    buf_release(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *kind = fuzz_line(&input);
    char system[] = "scim";
    struct origin origin = {.writer = strcmp(kind, "control") == 0  ? WRITER_CONTROL
                                      : strcmp(kind, "orders") == 0 ? WRITER_EDGE
                                      : strcmp(kind, system) == 0   ? WRITER_SYSTEM
                                                                    : WRITER_CORE,
                            .system = system};
    struct row row;
    row_read(&row, fuzz_record(&input), &origin, NULL);
    if (!row.refused) {
        FUZZ_CHECK(id_valid(row.id) && *row.name && *row.occurred_at);
        check_copy(&row);
        batch_number_waves(&row, 1);
    }
    row_release(&row);
    free(kind);
    return 0;
}
