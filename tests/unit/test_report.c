/* Results as people read them. */
/* links: worker/report.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "worker/report.h"

static void assert_report(const char *results, const char *kind, const char *expected)
{
    json_t *list = json_parse(results, strlen(results), NULL);
    assert_non_null(list);
    char *text = report_text(list, kind);
    assert_string_equal(text, expected);
    free(text);
    json_decref(list);
}

#define RESULT(step, state, message)                                                                                   \
    "{\"phase\": \"initial\", \"step\": \"" step "\", \"system\": \"s\", \"action\": \"a\", \"state\": \"" state       \
    "\", \"message\": \"" message "\"}"

static void test_lines(void **state)
{
    (void)state;
    assert_report("[" RESULT("x", "succeeded",
                             "done") "," RESULT("y", "failed", "refused") "," RESULT("z", "skipped", "no account") "]",
                  "mirror", "\u2705 x (s a): done\n\u274c y (s a): refused\n\u2796 z (s a): no account");
    assert_report("[]", "mirror", "");
}

static void test_summary(void **state)
{
    (void)state;
    assert_report(
        "[" RESULT("x", "succeeded", "done") "," RESULT("y", "failed", "refused") "," RESULT(
            "z", "cancelled", "account missing") "," RESULT("w", "waiting", "waiting") "," RESULT("v", "succeeded",
                                                                                                  "done") "]",
        "on_phase_end",
        "Report of phase initial\ndone: x, v\na person must act: y (refused)\nwaits: w\nnot done: z (account missing)");
}

/* What a vendor says may be long; a message that is too long could not be sent at all. */
static void test_cut(void **state)
{
    (void)state;
    json_t *list = json_array();
    for (int i = 0; i < 1000; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "step", "s", "state", "failed", "message", "refused"));
    }
    static const char *const reports[] = {"mirror", "on_phase_end"};
    for (size_t i = 0; i < 2; i++) {
        char *text = report_text(list, reports[i]);
        assert_true(strlen(text) <= 4000 && strlen(text) > 3800);
        size_t said = 0, left = 0;
        for (const char *at = text; (at = strstr(at, "refused")); at++) {
            said++;
        }
        const char *cut = strstr(text, "\u2026 and ");
        assert_non_null(cut);
        assert_int_equal(sscanf(cut, "\u2026 and %zu more", &left), 1);
        assert_int_equal(said + left, 1000); /* nothing is left out in silence */
        free(text);
    }
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
