/* The start of every process: options, configuration, log, environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/prctl.h>

#include "lib/daemon.h"
#include "lib/log.h"
#include "tests/unit/helpers.h"

enum { ARGUMENTS_MAX = 8 };

static const char *system_given;
static const char *check_given;
static const struct daemon_option options[] = {
    {"system", "NAME", "systems to serve", &system_given},
    {"check", NULL, "try the credentials and end", &check_given},
    {NULL, NULL, NULL, NULL},
};

static void start_and_tell(void *arg)
{
    char **argv = arg;
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    struct conf *conf = daemon_start("offboard-test", "Tests how a process starts.", options, argc, argv);
    log_debug("debug is on", NULL);
    printf("prefix=%s system=%s check=%s home=%s\n", conf_string(conf, "kafka.prefix"),
           system_given ? system_given : "-", check_given ? "yes" : "no", getenv("HOME"));
    signal(SIGPIPE, SIG_IGN) == SIG_IGN ? puts("SIGPIPE ignored") : puts("SIGPIPE kills");
    printf("dumpable=%d\n", prctl(PR_GET_DUMPABLE));
    conf_free(conf);
}

static struct outcome started(const char *first, ...)
{
    char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t) "offboard-test"};
    int argc = 1;
    va_list args;
    va_start(args, first);
    for (const char *argument = first; argument && argc < ARGUMENTS_MAX - 1; argument = va_arg(args, const char *)) {
        argv[argc++] = (char *)(uintptr_t)argument;
    }
    va_end(args);
    return in_child(start_and_tell, argv);
}

static void assert_outcome(struct outcome outcome, int code, const char *text)
{
    assert_contains(outcome.out, text);
    assert_int_equal(outcome.code, code);
    free(outcome.out);
}

static void test_options(void **state)
{
    (void)state;
    char *path = temporary_file("kafka.prefix: leavers\nlog.level: debug\n");
    struct outcome outcome = started("-c", path, "--system", "okta,jira", "--check", NULL);
    assert_contains(outcome.out, "\"message\":\"debug is on\"");
    assert_contains(outcome.out, "\"process\":\"offboard-test\"");
    assert_contains(outcome.out, "SIGPIPE ignored");
    assert_contains(outcome.out, "dumpable=0");
    assert_outcome(outcome, 0, "prefix=leavers system=okta,jira check=yes home=/nonexistent\n");
    assert_outcome(started("--config", path, NULL), 0, "prefix=leavers system=- check=no");
    assert_outcome(started(NULL), 0, "prefix=offboard system=-");
    setenv("OFFBOARD_CONFIG", path, 1);
    assert_outcome(started(NULL), 0, "prefix=leavers system=-");
    char *other = temporary_file("kafka.prefix: others\n");
    assert_outcome(started("-c", other, NULL), 0, "prefix=others system=-");
    unsetenv("OFFBOARD_CONFIG");
    temporary_remove(other);
    temporary_remove(path);
}

static void test_help_and_version(void **state)
{
    (void)state;
    struct outcome outcome = started("--help", NULL);
    assert_contains(outcome.out, "usage: offboard-test");
    assert_contains(outcome.out, "Tests how a process starts.");
    assert_contains(outcome.out, "--system NAME");
    assert_contains(outcome.out, "try the credentials and end");
    assert_outcome(outcome, 0, "--config FILE");
    char *version = mem_printf("offboard-test %s\n", offboard_version);
    assert_outcome(started("--version", NULL), 0, version);
    free(version);
}

static void test_wrong_command_lines(void **state)
{
    (void)state;
    assert_outcome(started("--sytem", "okta", NULL), 2, "unknown argument: \"--sytem\"; see offboard-test --help");
    assert_outcome(started("okta", NULL), 2, "unknown argument: \"okta\"");
    assert_outcome(started("--system", NULL), 2, "needs a value: \"--system\"");
    assert_outcome(started("-c", NULL), 2, "needs a value: \"-c\"");
}

static void test_wrong_configuration(void **state)
{
    (void)state;
    char *path = temporary_file("kafka:\n  prefx: x\n");
    char *place = mem_printf("%s:2: there is no option", path);
    assert_outcome(started("-c", path, NULL), 2, place);
    free(place);
    temporary_remove(path);
    assert_outcome(started("-c", "/nonexistent.yaml", NULL), 2, "/nonexistent.yaml: No such file");
    path = temporary_file("log.level: loud\n");
    assert_outcome(started("-c", path, NULL), 2, "log.level must be debug, info, warning or error");
    temporary_remove(path);
}

static void test_stop_signals(void **state)
{
    (void)state;
    daemon_catch_signals();
    assert_int_equal(daemon_stopping, 0);
    raise(SIGTERM);
    assert_int_equal(daemon_stopping, 1);
    daemon_stopping = 0;
    raise(SIGINT);
    assert_int_equal(daemon_stopping, 1);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
}

static void stop_early(void *arg)
{
    char *argv[] = {arg, NULL};
    struct conf *conf = daemon_start("offboard-test", "", NULL, 1, argv);
    raise(SIGTERM); /* before the process takes its signals itself */
    conf_free(conf);
    puts("went on");
}

static void test_stopped_before_it_began(void **state)
{
    (void)state;
    char name[] = "offboard-test";
    struct outcome outcome = in_child(stop_early, name);
    assert_int_equal(outcome.code, 0);
    assert_null(strstr(outcome.out, "went on"));
    free(outcome.out);
}

static void end_and_hang(void *arg)
{
    (void)arg;
    daemon_ending(3);
    raise(SIGALRM); /* as after some seconds */
    for (;;) {
        pause();
    }
}

/* What a library waits for at the end must not keep a process for ever. */
static void test_an_end_that_takes_too_long(void **state)
{
    (void)state;
    struct outcome outcome = in_child(end_and_hang, NULL);
    assert_int_equal(outcome.code, 3);
    free(outcome.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_wrong_command_lines),
        cmocka_unit_test(test_wrong_configuration),
        cmocka_unit_test(test_stop_signals),
        cmocka_unit_test(test_stopped_before_it_began),
        cmocka_unit_test(test_an_end_that_takes_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
