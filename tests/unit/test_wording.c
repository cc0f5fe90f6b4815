/* Dates and lists as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "lib/wording.h"

static void assert_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    free(text);
}

static int64_t instant(const char *text)
{
    int64_t at = 0;
    assert_int_equal(time_parse(text, &at, NULL), 0);
    return at;
}

static void test_days(void **state)
{
    (void)state;
    int64_t late = instant("2026-11-29T23:30:00Z");
    assert_text(wording_day(late, NULL), "29 November 2026");
    assert_text(wording_day(late, "Europe/Berlin"), "30 November 2026");
    assert_text(wording_day(late, "America/New_York"), "29 November 2026");
    assert_text(wording_date(late, "America/New_York"), "2026-11-29");
    assert_text(wording_date(late, "Europe/Berlin"), "2026-11-30");
    assert_text(wording_day(late, "No/Where"), "29 November 2026");
    assert_text(wording_moment(late, "Europe/Berlin"), "30 November 2026, 00:30 (Europe/Berlin)");
    assert_text(wording_moment(late, "No/Where"), "29 November 2026, 23:30 (UTC)");
    assert_text(wording_moment(instant("1970-01-01T00:00:00.5Z"), "America/New_York"),
                "31 December 1969, 19:00 (America/New_York)");
}

static void test_spans(void **state)
{
    (void)state;
    assert_text(wording_span(0), "less than a second");
    assert_text(wording_span(TIME_SECOND), "1 second");
    assert_text(wording_span(119 * TIME_SECOND), "1 minute");
    assert_text(wording_span(7 * TIME_HOUR), "7 hours");
    assert_text(wording_span(90 * TIME_DAY), "90 days");
}

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list, *expected;
    } cases[] = {{"[]", ""},
                 {"[\"Okta\"]", "Okta"},
                 {"[\"Okta\", \"Zoom\"]", "Okta and Zoom"},
                 {"[\"a\", \"b\", \"c\"]", "a, b and c"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *list = json_parse(cases[i].list, strlen(cases[i].list), NULL);
        assert_text(wording_list(list), cases[i].expected);
        json_decref(list);
    }
}

static void test_actors(void **state)
{
    (void)state;
    static const struct {
        const char *actor, *expected;
    } cases[] = {{"{\"kind\": \"slack\", \"id\": \"U1\", \"name\": \"Ann Lee\"}", "Ann Lee"},
                 {"{\"kind\": \"token\", \"id\": \"hr\", \"name\": null}", "hr"},
                 {"{}", "somebody unknown"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *actor = json_parse(cases[i].actor, strlen(cases[i].actor), NULL);
        assert_text(wording_actor(actor), cases[i].expected);
        json_decref(actor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_actors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
