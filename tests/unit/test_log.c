/* Log lines: JSON, one a line, masked, never lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"

static void write_lines(void *arg)
{
    (void)arg;
    log_init("offboard-test", LOG_INFO);
    log_debug("not seen", NULL);
    log_info("job deferred", "job_id", "1-2", "due_at", NULL, "system", "okta", NULL);
    log_warning("quote \" and\nline", "broken",
                "a\xff"
                "b",
                NULL);
    secret_remember("s3cr3t\"value");
    log_error("could not log in: s3cr3t\"value", "header", "Bearer s3cr3t\"value", NULL);
    log_init("offboard-test", LOG_ERROR);
    log_warning("not seen either", NULL);
}

static json_t *line_at(char **text)
{
    char *end = strchr(*text, '\n');
    assert_non_null(end);
    struct err err = ERR_INIT;
    json_t *line = json_parse(*text, (size_t)(end - *text), &err);
    assert_string_equal(err_text(&err), "no error");
    *text = end + 1;
    return line;
}

static void test_lines(void **state)
{
    (void)state;
    struct outcome outcome = in_child(write_lines, NULL);
    char *at = outcome.out;

    json_t *line = line_at(&at);
    int64_t when;
    assert_int_equal(time_parse(json_string_at(line, "time"), &when, NULL), 0);
    assert_true(when <= time_now() && when > time_now() - TIME_HOUR);
    assert_string_equal(json_string_at(line, "level"), "info");
    assert_string_equal(json_string_at(line, "process"), "offboard-test");
    assert_string_equal(json_string_at(line, "message"), "job deferred");
    assert_string_equal(json_string_at(line, "job_id"), "1-2");
    assert_string_equal(json_string_at(line, "system"), "okta");
    assert_null(json_object_get(line, "due_at"));
    json_decref(line);

    line = line_at(&at);
    assert_string_equal(json_string_at(line, "level"), "warning");
    assert_string_equal(json_string_at(line, "message"), "quote \" and\nline");
    assert_string_equal(json_string_at(line, "broken"), "a?b");
    json_decref(line);

    line = line_at(&at);
    assert_string_equal(json_string_at(line, "message"), "could not log in: ***");
    assert_string_equal(json_string_at(line, "header"), "Bearer ***");
    json_decref(line);
    assert_string_equal(at, ""); /* nothing below the level */
    free(outcome.out);
}

static void test_levels(void **state)
{
    (void)state;
    enum log_level level = LOG_DEBUG;
    assert_int_equal(log_level_parse("warning", &level), 0);
    assert_int_equal(level, LOG_WARNING);
    assert_int_equal(log_level_parse("warn", &level), -1);
    assert_int_equal(log_level_parse("", &level), -1);
    assert_int_equal(level, LOG_WARNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
