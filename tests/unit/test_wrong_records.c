/* A member of the wrong type, anywhere in an event or in a record of control, stops no logger, worker or planner: the record is refused with a
 * reason, or the member is overlooked. */
/* links: tests/fuzz/fuzz.c tests/fuzz/record.c logger/row.c logger/origin.c logger/batch.c worker/shrink.c */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/control.h"
#include "lib/dead.h"
#include "logger/logger.h"
#include "tests/fuzz/record.h"
#include "tests/unit/variants.h"
#include "worker/shrink.h"

/* ---- events ---------------------------------------------------------------------------------------------------------------------- */

/* The logger, who looks at dead letters, and the worker, whose event may be too large. */
static void read_event(const json_t *message)
{
    char *text = json_text(message), *record_text = mem_printf("key\n\n%s", text);
    struct fuzz_input input = {(const uint8_t *)record_text, strlen(record_text)};
    struct row row;
    struct buf copy = BUF_INIT;
    row_read(&row, fuzz_record(&input), &(struct origin){.writer = WRITER_CORE}, NULL);
    batch_copy(&row, 1, &copy);
    assert_int_equal(copy.len == 0, row.refused != NULL);
    json_t *shrunk = row.refused ? NULL : json_deep_copy((json_t *)(uintptr_t)message);
    for (int step = 0; shrunk && event_shrink(shrunk, step); step++) {
    }
    free(dead_summary(text, strlen(text)));
    json_decref(shrunk);
    buf_release(&copy);
    row_release(&row);
    free(record_text);
    free(text);
}

static void test_events(void **state)
{
    (void)state;
    struct dirent **entries;
    int count = scandir("tests/golden/v1", &entries, NULL, alphasort);
    size_t events = 0;
    for (int i = 0; i < count; i++) {
        if (strncmp(entries[i]->d_name, "event.", 6) == 0) {
            json_t *event = golden(entries[i]->d_name);
            read_event(event);
            try_variants(event, event, read_event);
            json_decref(event);
            events++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(events > 20);
}

/* ---- control --------------------------------------------------------------------------------------------------------------------- */

static const char *control_key;

/* Workers, planner and logger. */
static void read_control(const json_t *message)
{
    char *text = json_text(message), *record_text = mem_printf("%s\n\n%s", control_key, text);
    struct fuzz_input input = {(const uint8_t *)record_text, strlen(record_text)};
    rd_kafka_message_t *record = fuzz_record(&input);
    struct control *control = control_new();
    struct row row;
    bool applied = control_apply(control, record, NULL) == 0;
    assert_int_equal(control_paused(control, "scim") || control_cancelled(control, "x", NULL, 0), applied);
    row_read(&row, record, &(struct origin){.writer = WRITER_CONTROL}, NULL);
    assert_int_equal(row.refused == NULL, applied);
    row_release(&row);
    control_free(control);
    free(record_text);
    free(text);
}

static void test_control(void **state)
{
    (void)state;
    static const char *const files[][2] = {{"control.pause.json", "pause/scim"}, {"control.cancel.json", "cancel/x"}};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        json_t *order = golden(files[i][0]);
        control_key = files[i][1];
        read_control(order);
        try_variants(order, order, read_control);
        json_decref(order);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_events), cmocka_unit_test(test_control)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
