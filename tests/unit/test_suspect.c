/* A job without an answer: it waits as long as its workers have not read past it, and is lost when they have and no answer came. */
/* links: scheduler/suspect.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/scheduler.h"

/* Published before the partition had 10 records. */
static struct suspect suspect_new(void)
{
    return (struct suspect){.attempt = 1, .read_to = 10};
}

/* Its answer would stand on the topic of results, whose end and whose recorded part these are. */
static bool lost(struct suspect *suspect, const struct place *place, int64_t end, int64_t recorded)
{
    return suspect_lost(suspect, place, (const int64_t[ANSWERS]){3, end}, (const int64_t[ANSWERS]){3, recorded});
}

static void test_what_waits_is_not_lost(void **state)
{
    (void)state;
    static const struct place places[] = {
        {0, 10, 9},  /* the workers stand before it: vendor slow, system paused, mail server away */
        {0, 10, -1}, /* there never was a worker */
        {5, 40, 3},  /* retention took what they had not read: they read on from 5 */
        {0, 30, 50}, /* committed in a topic of before, which was made anew: they read it from its beginning */
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct suspect suspect = suspect_new();
        assert_false(lost(&suspect, &places[i], 0, 100));
        assert_false(suspect.read);
    }
}

static void test_read_and_not_answered(void **state)
{
    (void)state;
    static const struct place places[] = {
        {0, 10, 10},  /* read to the end */
        {0, 40, 12},  /* read past it */
        {10, 40, -1}, /* retention took it, and nobody has read anything */
        {0, 4, 4},    /* the topic was made anew */
        {0, 4, 0},    /* so, and nobody reads it */
        {0, 0, -1},   /* so, and it is empty */
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct suspect suspect = suspect_new();
        assert_false(lost(&suspect, &places[i], 7, 6)); /* its answer may be what the logger reads next */
        assert_false(lost(&suspect, &places[i], 99, 6));
        assert_true(lost(&suspect, &places[i], 99, 7)); /* what comes later is no answer of before */
    }
}

static void test_nothing_is_under_way(void **state)
{
    (void)state;
    struct suspect suspect = suspect_new();
    assert_true(lost(&suspect, &(struct place){0, 10, 10}, 7, 7));
}

/* An answer may also be ours: the scheduler says that a job is lost, the planner that one was too large. */
static void test_our_own_word(void **state)
{
    (void)state;
    struct suspect suspect = suspect_new();
    const struct place read = {0, 10, 10};
    assert_false(suspect_lost(&suspect, &read, (const int64_t[ANSWERS]){9, 7}, (const int64_t[ANSWERS]){8, 7}));
    assert_true(suspect_lost(&suspect, &read, (const int64_t[ANSWERS]){20, 20}, (const int64_t[ANSWERS]){9, 7}));
}

/* Its message is an event. */
static void test_phase(void **state)
{
    (void)state;
    struct suspect suspect = {.attempt = 2};
    assert_false(lost(&suspect, NULL, 7, 6));
    assert_true(lost(&suspect, NULL, 8, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_is_not_lost),
        cmocka_unit_test(test_read_and_not_answered),
        cmocka_unit_test(test_nothing_is_under_way),
        cmocka_unit_test(test_our_own_word),
        cmocka_unit_test(test_phase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
