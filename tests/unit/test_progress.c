/* Progress of a partition: what may be committed, and the map that travels as offset metadata. */
/* links: worker/progress.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "worker/progress.h"

static void assert_metadata(const struct progress *progress, const char *expected)
{
    char *metadata = progress_metadata(progress);
    assert_string_equal(metadata, expected);
    free(metadata);
}

static void test_contiguous(void **state)
{
    (void)state;
    struct progress *progress = progress_new(10);
    for (int64_t offset = 10; offset < 15; offset++) {
        progress_read(progress, offset);
    }
    assert_int_equal(progress_committable(progress), 10);
    assert_false(progress_changed(progress));
    progress_finished(progress, 11);
    assert_int_equal(progress_committable(progress), 10);
    assert_true(progress_changed(progress));
    progress_saved(progress);
    assert_false(progress_changed(progress));
    progress_finished(progress, 10);
    assert_int_equal(progress_committable(progress), 12);
    assert_int_equal(progress_mark(progress, 11), PROGRESS_FINISHED);
    assert_int_equal(progress_mark(progress, 12), PROGRESS_UNTOUCHED);
    assert_metadata(progress, "");
    progress_free(progress);
}

/* The bytes as the contract has them: untouched 1, finished 2, begun 0, untouched 1, finished 0, begun 1. */
static void test_wire_format(void **state)
{
    (void)state;
    struct progress *progress = progress_new(100);
    progress_finished(progress, 101);
    progress_finished(progress, 102);
    assert_metadata(progress, "1:AQI=");
    progress_begun(progress, 104);
    assert_metadata(progress, "1:AQIAAQAB");
    progress_finished(progress, 100);
    assert_int_equal(progress_committable(progress), 103);
    assert_metadata(progress, "1:AQAB");
    progress_begun(progress, 103);
    assert_metadata(progress, "1:AAAC");
    progress_finished(progress, 400);
    assert_metadata(progress, "1:AAACpwIB");
    progress_free(progress);
}

static void test_gaps_are_finished(void **state)
{
    (void)state;
    struct progress *progress = progress_new(5);
    progress_read(progress, 8); /* 5 to 7 do not exist */
    assert_int_equal(progress_committable(progress), 8);
    progress_read(progress, 1000000000000);
    progress_finished(progress, 8);
    assert_int_equal(progress_committable(progress), 1000000000000);
    progress_read(progress, 8); /* a repeat changes nothing */
    assert_int_equal(progress_committable(progress), 1000000000000);
    progress_free(progress);
}

static void test_begun(void **state)
{
    (void)state;
    struct progress *progress = progress_new(0);
    progress_begun(progress, 1);
    assert_int_equal(progress_mark(progress, 1), PROGRESS_BEGUN);
    progress_finished(progress, 1);
    progress_begun(progress, 1); /* what is finished stays so */
    assert_int_equal(progress_mark(progress, 1), PROGRESS_FINISHED);
    progress_begun(progress, 0);
    assert_int_equal(progress_committable(progress), 0);
    progress_finished(progress, 0);
    assert_int_equal(progress_committable(progress), 2);
    progress_free(progress);
}

static void test_restore(void **state)
{
    (void)state;
    struct progress *progress = progress_new(100);
    assert_int_equal(progress_restore(progress, "1:AQIAAQAB"), 0);
    static const enum progress_mark marks[] = {PROGRESS_UNTOUCHED, PROGRESS_FINISHED, PROGRESS_FINISHED,
                                               PROGRESS_UNTOUCHED, PROGRESS_BEGUN,    PROGRESS_UNTOUCHED};
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        assert_int_equal(progress_mark(progress, 100 + (int64_t)i), marks[i]);
    }
    assert_false(progress_changed(progress));
    assert_metadata(progress, "1:AQIAAQAB");
    for (int64_t offset = 100; offset < 106; offset++) {
        progress_read(progress, offset); /* reading them again keeps their marks */
    }
    assert_metadata(progress, "1:AQIAAQAB");
    assert_int_equal(progress_restore(progress, NULL), 0);
    assert_metadata(progress, "");
    progress_free(progress);
}

static void test_unreadable(void **state)
{
    (void)state;
    static const char *const unreadable[] = {
        "1:AQI",              /* no multiple of four */
        "1:*QI=",             /* no base64 */
        "2:AQI=",             /* another version */
        "AQI=",               /* none */
        "1:gA==",             /* a varint without end */
        "1://///////////w==", /* longer than 64 bits */
        "1:AP///////////38A", /* beyond 2^63 */
        "1:AAH//////////38B", /* the sum is */
    };
    for (size_t i = 0; i < COUNT_OF(unreadable); i++) {
        struct progress *progress = progress_new(7);
        progress_finished(progress, 9);
        assert_int_equal(progress_restore(progress, unreadable[i]), -1);
        assert_metadata(progress, "");
        assert_int_equal(progress_committable(progress), 7);
        progress_free(progress);
    }
}

static void test_full(void **state)
{
    (void)state;
    struct progress *progress = progress_new(0);
    int64_t offset = 1;
    while (!progress_full(progress)) {
        progress_finished(progress, offset);
        offset += 2;
    }
    char *metadata = progress_metadata(progress);
    assert_true(strlen(metadata) >= PROGRESS_METADATA_FULL);
    assert_true(strlen(metadata) < PROGRESS_METADATA_FULL + 8);
    assert_true(offset > 1000);
    free(metadata);
    progress_finished(progress, 0);
    progress_finished(progress, 2);
    progress_finished(progress, 4);
    progress_finished(progress, 6);
    assert_false(progress_full(progress));
    progress_free(progress);
}

/* Against a plain array of marks, in an order that a fixed seed gives; the map survives the wire at every step. */
static void test_against_an_array(void **state)
{
    (void)state;
    enum { COUNT = 200, STEPS = 4000 };
    enum progress_mark marks[COUNT] = {PROGRESS_UNTOUCHED};
    struct progress *progress = progress_new(0);
    unsigned int seed = 7;
    for (int step = 0; step < STEPS; step++) {
        int64_t offset = rand_r(&seed) % COUNT;
        if (rand_r(&seed) % 3 == 0) {
            progress_begun(progress, offset);
            marks[offset] = marks[offset] == PROGRESS_UNTOUCHED ? PROGRESS_BEGUN : marks[offset];
        } else if (rand_r(&seed) % 10 == 0) {
            progress_finished(progress, offset);
            marks[offset] = PROGRESS_FINISHED;
        }
        int64_t head = 0;
        while (head < COUNT && marks[head] == PROGRESS_FINISHED) {
            head++;
        }
        assert_int_equal(progress_committable(progress), head);
        char *metadata = progress_metadata(progress);
        struct progress *copy = progress_new(head);
        assert_int_equal(progress_restore(copy, metadata), 0);
        for (int64_t i = 0; i < COUNT; i++) {
            assert_int_equal(progress_mark(progress, i), marks[i]);
            assert_int_equal(progress_mark(copy, i), marks[i]);
        }
        progress_free(copy);
        free(metadata);
    }
    progress_free(progress);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contiguous),
        cmocka_unit_test(test_wire_format),
        cmocka_unit_test(test_gaps_are_finished),
        cmocka_unit_test(test_begun),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_against_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
