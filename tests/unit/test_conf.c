/* Configuration: file, environment, files of secrets; what is wrong is named with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/conf.h"
#include "lib/json.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "tests/unit/helpers.h"

extern char **environ;

static int clean(void **state)
{
    (void)state;
    char *names[200];
    size_t count = 0;
    for (char **variable = environ; *variable && count < COUNT_OF(names); variable++) {
        if (strncmp(*variable, "OFFBOARD_", 9) == 0) {
            names[count++] = mem_strndup(*variable, strcspn(*variable, "="));
        }
    }
    while (count) {
        unsetenv(names[--count]);
        free(names[count]);
    }
    secret_forget_all();
    return 0;
}

static struct conf *loaded(const char *yaml)
{
    struct err err = ERR_INIT;
    char *path = temporary_file(yaml);
    struct conf *conf = conf_load(path, &err);
    temporary_remove(path);
    if (!conf) {
        fail_msg("%s", err_text(&err));
    }
    return conf;
}

/* `line` 0: the text names no place in the file. */
static void assert_refused(const char *yaml, int line, const char *why)
{
    struct err err = ERR_INIT;
    char *path = temporary_file(yaml);
    assert_null(conf_load(path, &err));
    assert_int_equal(err.class, ERR_FATAL);
    char *place = line ? mem_printf("%s:%d: ", path, line) : mem_strdup("");
    assert_contains(err_text(&err), place);
    assert_contains(err_text(&err), why);
    free(place);
    err_release(&err);
    temporary_remove(path);
}

static void assert_secret(const char *text, bool secret)
{
    char *masked = secret_mask(text);
    assert_string_equal(masked, secret ? "***" : text);
    free(masked);
}

static void test_defaults(void **state)
{
    (void)state;
    struct conf *conf = conf_load(NULL, NULL);
    assert_non_null(conf);
    assert_int_equal(conf_duration(conf, "clock.day"), TIME_DAY);
    assert_int_equal(conf_int(conf, "edge.body_limit"), 1048576);
    assert_string_equal(conf_string(conf, "kafka.prefix"), "offboard");
    assert_null(conf_string(conf, "postgres.logger"));
    assert_int_equal(conf_list_size(conf, "worker.systems"), 0);
    assert_null(conf_list_item(conf, "worker.systems", 0));
    assert_null(conf_system_setting(conf, "jira", "token"));
    conf_free(conf);
    conf_free(NULL);
}

/* Every default and every least value is one that the option itself would accept. */
static void test_table(void **state)
{
    (void)state;
    size_t count;
    const struct conf_option *options = conf_options(&count);
    assert_true(count > 30);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(options[i - 1].key, options[i].key) < 0); /* alphabetical */
        assert_true(strlen(options[i].help) > 10 && options[i].help[strlen(options[i].help) - 1] == '.');
        const char *const given[] = {options[i].otherwise, options[i].least};
        for (size_t g = 0; g < COUNT_OF(given); g++) {
            if (given[g]) {
                char *yaml = mem_printf("%s: \"%s\"\n", options[i].key, given[g]);
                conf_free(loaded(yaml));
                free(yaml);
            }
        }
    }
}

static void test_file(void **state)
{
    (void)state;
    struct conf *conf =
        loaded("clock.day: 1s\n"
               "kafka: {prefix: \"of\", brokers: \"a:1,b:2\"}\n"
               "edge:\n  body_limit: 10\n  token: 007\n  tokens:\n    hr-bot: {token: abcdefgh, roles: [intake]}\n"
               "    ops: {token: ijklmnop, roles: \"intake, operator\"}\n"
               "worker: {systems: [okta, \"google\"]}\n"
               "guards.protected: ceo@example.com, E-1 ,okta:00u1\n"
               "systems: {jira: {url: \"https://x\", version: 1.10, empty: , off: false}}\n"
               "scheduler:\nlogger: {}\n");
    assert_int_equal(conf_duration(conf, "clock.day"), TIME_SECOND);
    assert_string_equal(conf_string(conf, "kafka.prefix"), "of");
    assert_string_equal(conf_string(conf, "kafka.brokers"), "a:1,b:2");
    assert_int_equal(conf_int(conf, "edge.body_limit"), 10);
    assert_string_equal(conf_string(conf, "edge.token"), "007"); /* as it is written, no number */
    assert_int_equal(conf_list_size(conf, "worker.systems"), 2);
    assert_string_equal(conf_list_item(conf, "worker.systems", 1), "google");
    assert_null(conf_list_item(conf, "worker.systems", 2));
    assert_int_equal(conf_list_size(conf, "guards.protected"), 3);
    assert_string_equal(conf_list_item(conf, "guards.protected", 1), "E-1");
    assert_string_equal(conf_system_setting(conf, "jira", "version"), "1.10");
    assert_null(conf_system_setting(conf, "jira", "empty"));
    assert_string_equal(conf_system_setting(conf, "jira", "off"), "false");
    assert_null(conf_system_setting(conf, "okta", "url"));
    assert_string_equal(conf_token(conf, "hr-bot", "token"), "abcdefgh");
    assert_true(conf_token_has_role(conf, "hr-bot", "intake"));
    assert_false(conf_token_has_role(conf, "hr-bot", "operator"));
    assert_true(conf_token_has_role(conf, "ops", "operator"));
    assert_false(conf_token_has_role(conf, "nobody", "operator"));
    conf_free(conf);
    conf_free(loaded(""));
    conf_free(loaded("# nothing\n---\n"));
}

static void test_wrong_file(void **state)
{
    (void)state;
    assert_refused("clock:\n  dya: 1s\n", 2, "there is no option \"clock.dya\"; did you mean \"clock.day\"?");
    assert_refused("scheduler: 1\n", 1, "there is no option \"scheduler\"");
    assert_refused("schedule:\n", 1, "there is no option \"schedule\"");
    assert_refused("frobnicate: 1\n", 1, "there is no option \"frobnicate\"");
    assert_refused("clock.day: 30\n", 1, "clock.day: \"30\" is no duration");
    assert_refused("\nclock.day: 0s\n", 2, "clock.day must be at least 1ms");
    assert_refused("clock.day: {hours: 1}\n", 1, "there is no option \"clock.day.hours\"");
    assert_refused("clock.day: [1s]\n", 1, "clock.day takes one value, not a list");
    assert_refused("topics.partitions: many\n", 1, "topics.partitions must be a whole number, not \"many\"");
    assert_refused("topics.partitions: 1.5\n", 1, "topics.partitions must be a whole number");
    assert_refused("topics.partitions: \"\"\n", 1, "topics.partitions must be a whole number");
    assert_refused("topics.partitions: 0\n", 1, "topics.partitions must be from 1 to 2147483647");
    assert_refused("guards.cap_per_hour: -1\n", 1, "guards.cap_per_hour must be from 0 to 2147483647");
    assert_refused("topics.partitions: 99999999999999999999\n", 1, "must be from 1 to");
    assert_refused("worker.systems:\n  - okta\n  - {a: 1}\n", 1, "item 2 of worker.systems must be a text");
    assert_refused("clock.day: 1s\nclock: {day: 2s}\n", 2, "clock.day was given already at ");
    assert_refused("- clock.day\n", 0, "a configuration is a map of options");
    assert_refused("edge.tokens.hr.tokn: x\n", 1, "it must be edge.tokens.<name>.token or .roles");
    assert_refused("edge.tokens: {hr: {token: abcdefgh, roles: [intake, oparator]}}\n", 1,
                   "there is no role \"oparator\"");
    assert_refused("systems.jira: x\n", 1, "it must be systems.<system>.<setting>");
    assert_refused("systems.jira.a.b: x\n", 1, "it must be systems.<system>.<setting>");
    assert_refused("systems: {jira: {mode: dryrun}}\n", 1, "systems.jira.mode must be live or dry_run, not \"dryrun\"");
    assert_refused("systems: {jira: {hosts: [a]}}\n", 1, "systems.jira.hosts takes one value, not a list");
    assert_refused("sources.okta-hook: x\n", 1, "it must be sources.<source>.<setting>");
    assert_refused("a: [\n", 0, "flow sequence");
    assert_refused("\"q/~x\": 1\n", 1, "there is no option \"q/~x\"");
    struct err err = ERR_INIT;
    assert_null(conf_load("/nonexistent.yaml", &err));
    assert_contains(err_text(&err), "/nonexistent.yaml: No such file");
    err_release(&err);
    assert_null(conf_load("/nonexistent.yaml", NULL));
}

static void test_environment_wins(void **state)
{
    (void)state;
    setenv("OFFBOARD_CLOCK_DAY", "2m", 1);
    setenv("OFFBOARD_WORKER_SYSTEMS", "okta, jira", 1);
    setenv("OFFBOARD_LOGGER_LISTEN", "", 1);
    setenv("OFFBOARD_SYSTEMS_JIRA_TOKEN", "from-environment", 1);
    setenv("OFFBOARD_SYSTEMS_MY_SCIM_API_URL", "https://scim", 1);
    setenv("OFFBOARD_SYSTEMS_MY_SCIM_CA_FILE", "/etc/ca.pem", 1);
    struct conf *conf = loaded("clock.day: 1s\nsystems: {jira: {token: from-file-abc, url: u}}\n");
    assert_int_equal(conf_duration(conf, "clock.day"), 2 * TIME_MINUTE);
    assert_int_equal(conf_list_size(conf, "worker.systems"), 2);
    assert_string_equal(conf_list_item(conf, "worker.systems", 1), "jira");
    assert_string_equal(conf_string(conf, "logger.listen"), "");
    assert_string_equal(conf_system_setting(conf, "jira", "token"), "from-environment");
    assert_string_equal(conf_system_setting(conf, "jira", "url"), "u");
    assert_string_equal(conf_system_setting(conf, "my-scim", "api_url"), "https://scim");
    assert_string_equal(conf_system_setting(conf, "my-scim", "ca_file"), "/etc/ca.pem");
    assert_secret("from-environment", true);
    assert_secret("https://scim", false);
    conf_system_secret(conf, "my-scim", "api_url");
    assert_secret("https://scim", true);
    conf_free(conf);
}

static void test_tokens_of_the_environment(void **state)
{
    (void)state;
    setenv("OFFBOARD_EDGE_TOKENS_HR_BOT_TOKEN", "token-of-hr-bot", 1); /* the file has "hr-bot" */
    setenv("OFFBOARD_EDGE_TOKENS_CI_TOKEN", "token-of-ci", 1);         /* nobody else speaks of this one */
    setenv("OFFBOARD_EDGE_TOKENS_CI_ROLES", "intake,operator", 1);
    struct conf *conf = loaded("edge.tokens.hr-bot.roles: [intake]\n");
    assert_string_equal(conf_token(conf, "hr-bot", "token"), "token-of-hr-bot");
    assert_true(conf_token_has_role(conf, "hr-bot", "intake"));
    assert_null(conf_token(conf, "hr_bot", "token"));
    assert_string_equal(conf_token(conf, "ci", "token"), "token-of-ci");
    assert_true(conf_token_has_role(conf, "ci", "operator"));
    assert_secret("token-of-hr-bot", true);
    assert_secret("token-of-ci", true);
    conf_free(conf);
    setenv("OFFBOARD_EDGE_TOKENS_CI_ROLES", "root", 1);
    assert_refused("", 0, "OFFBOARD_EDGE_TOKENS_CI_ROLES: edge.tokens.ci.roles: there is no role \"root\"");
    unsetenv("OFFBOARD_EDGE_TOKENS_CI_ROLES");
    setenv("OFFBOARD_EDGE_TOKENS_CI_TOKN", "x", 1);
    assert_refused("", 0, "OFFBOARD_EDGE_TOKENS_CI_TOKN is no option");
}

static void test_wrong_environment(void **state)
{
    (void)state;
    setenv("OFFBOARD_EDGE_PORT", "tcp://10.0.0.1:80", 1); /* Kubernetes' service links */
    setenv("OFFBOARD_EDGE_SERVICE_HOST", "10.0.0.1", 1);
    setenv("OFFBOARD_EDGE_PORT_80_TCP_ADDR", "10.0.0.1", 1);
    conf_free(loaded(""));
    setenv("OFFBOARD_CLOCK_DYA", "1s", 1);
    assert_refused("", 0, "environment: OFFBOARD_CLOCK_DYA is no option");
    unsetenv("OFFBOARD_CLOCK_DYA");
    setenv("OFFBOARD_CLOCK_DAY", "1", 1);
    assert_refused("", 0, "OFFBOARD_CLOCK_DAY: clock.day: \"1\" is no duration");
    setenv("OFFBOARD_CLOCK_DAY", "\xff", 1);
    assert_refused("", 0, "environment: OFFBOARD_CLOCK_DAY is no UTF-8 text");
}

static void test_values_in_files(void **state)
{
    (void)state;
    char *secret = temporary_file("s3cret in a file\n\n");
    char *list = temporary_file("# who may not go\nceo@example.com\n\n  E-7  \r\nokta:00u#1\n");
    char *yaml = mem_printf(
        "edge.token_file: %s\nguards: {protected_file: %s}\nsystems: {jira: {token_file: %s, ca_file: /ca}}\n", secret,
        list, secret);
    setenv("OFFBOARD_SYSTEMS_MY_SCIM_KEY_FILE", secret, 1);
    setenv("OFFBOARD_POSTGRES_LOGGER_FILE", secret, 1);
    struct conf *conf = loaded(yaml);
    assert_string_equal(conf_string(conf, "edge.token"), "s3cret in a file\n"); /* without the last newline */
    assert_string_equal(conf_string(conf, "postgres.logger"), "s3cret in a file\n");
    assert_int_equal(conf_list_size(conf, "guards.protected"), 3);
    assert_string_equal(conf_list_item(conf, "guards.protected", 1), "E-7");
    assert_string_equal(conf_list_item(conf, "guards.protected", 2), "okta:00u#1");
    assert_string_equal(conf_system_setting(conf, "jira", "token"), "s3cret in a file\n");
    assert_string_equal(conf_system_setting(conf, "jira", "ca_file"), "/ca");
    assert_string_equal(conf_system_setting(conf, "my-scim", "key"), "s3cret in a file\n");
    assert_secret("s3cret in a file\n", true);
    conf_free(conf);
    free(yaml);
    clean(NULL);

    assert_refused("edge:\n  token_file: /nonexistent\n", 2, "could not read /nonexistent: No such file");
    assert_refused("edge.token_file: [a]\n", 1, "edge.token_file must be the path of a file");
    assert_refused("edge.token: a\nedge.token_file: /b\n", 2, "edge.token was given already at ");
    setenv("OFFBOARD_SYSTEMS_JIRA_TOKEN_FILE", "/nonexistent", 1);
    assert_refused("", 0, "OFFBOARD_SYSTEMS_JIRA_TOKEN_FILE: could not read /nonexistent");
    temporary_remove(secret);
    temporary_remove(list);
}

static void test_secrets(void **state)
{
    (void)state;
    struct conf *conf = loaded(
        "edge.token: token-of-cli\n"
        "edge.tokens.hr: {token: token-of-hr, roles: [operator]}\n"
        "postgres.logger: \"host=db-host user=logger-user password='it''s' sslpassword = qu\\\\'oted\"\n"
        "postgres.admin: \"postgresql://admin-user:p%40ssw0rd@db-host/db?sslpassword=other%20one&x=verify-full\"\n"
        "postgres.analyst: \"host=h password='with blank \\\\'and quote'\"\n"
        "kafka.properties: [sasl.password=kafka-pass, security.protocol=SASL_SSL, ssl.key.password = spaced-pass]\n"
        "systems: {jira: {api_token: jira-token-1, email: bot@example.com, url: \"https://jira\"}}\n");
    static const char *const secrets[] = {"token-of-cli", "token-of-hr", "p%40ssw0rd",  "p@ssw0rd",
                                          "other%20one",  "other one",   "qu'oted",     "with blank 'and quote",
                                          "kafka-pass",   "spaced-pass", "jira-token-1"};
    for (size_t i = 0; i < COUNT_OF(secrets); i++) {
        assert_secret(secrets[i], true);
    }
    static const char *const open[] = {"logger-user",  "db-host",  "SASL_SSL",    "bot@example.com",
                                       "https://jira", "operator", "verify-full", "admin-user"};
    for (size_t i = 0; i < COUNT_OF(open); i++) {
        assert_secret(open[i], false);
    }
    conf_free(conf);
}

static void test_clear_and_restore(void **state)
{
    (void)state;
    setenv("OFFBOARD_EDGE_TOKEN", "token-of-cli", 1);
    setenv("SOME_PASSWORD", "of-something-else", 1);
    char *home = mem_strdup(getenv("HOME"));
    struct conf *conf = conf_load(NULL, NULL);
    conf_clear_environment();
    assert_null(getenv("OFFBOARD_EDGE_TOKEN"));
    assert_null(getenv("SOME_PASSWORD"));
    assert_non_null(getenv("PATH"));
    assert_string_equal(getenv("HOME"), "/nonexistent");
    assert_string_equal(conf_string(conf, "edge.token"), "token-of-cli");
    conf_restore_environment(conf);
    assert_string_equal(getenv("OFFBOARD_EDGE_TOKEN"), "token-of-cli");
    assert_null(getenv("SOME_PASSWORD"));
    conf_free(conf);
    if (home) {
        setenv("HOME", home, 1);
    }
    free(home);
}

/* Libraries read these: without them no certificate and no ticket of the site is found. */
static void test_what_is_kept(void **state)
{
    (void)state;
    static const char *const names[] = {"SSL_CERT_FILE",  "SSL_CERT_DIR",    "OPENSSL_CONF",
                                        "KRB5_CONFIG",    "KRB5CCNAME",      "KRB5_KTNAME",
                                        "LDAPTLS_CACERT", "LDAPTLS_REQCERT", "https_proxy"};
    static const char *const others[] = {"SSL_CERT_FILES", "KRB5", "MY_LDAPTLS_CACERT", "AWS_SECRET_ACCESS_KEY"};
    char *home = mem_strdup(getenv("HOME"));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        setenv(names[i], "kept=as it is", 1);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        setenv(others[i], "x", 1);
    }
    conf_clear_environment();
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_non_null(getenv(names[i]));
        assert_string_equal(getenv(names[i]), "kept=as it is");
        unsetenv(names[i]);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_null(getenv(others[i]));
    }
    setenv("HOME", home ? home : "/", 1);
    free(home);
}

/* The guide has its reader export it. */
static void test_the_variable_that_names_the_file(void **state)
{
    (void)state;
    assert_null(conf_path(NULL));
    setenv("OFFBOARD_CONFIG", "", 1);
    assert_null(conf_path(NULL));
    setenv("OFFBOARD_CONFIG", "/etc/offboard.yaml", 1);
    assert_string_equal(conf_path(NULL), "/etc/offboard.yaml");
    assert_string_equal(conf_path("mine.yaml"), "mine.yaml");
    struct conf *conf = loaded("kafka.prefix: x\n"); /* it is no option, and stops nobody */
    conf_free(conf);
}

static void test_texts_that_cannot_be_right(void **state)
{
    (void)state;
    static const char *const empty[] = {"\"\"", "\" \"", "\", ,\""};
    for (size_t i = 0; i < COUNT_OF(empty); i++) {
        char *yaml = mem_printf("kafka:\n  brokers: %s\n", empty[i]);
        assert_refused(yaml, 2, "kafka.brokers is empty; it must name the brokers (kafka-1:9092,kafka-2:9092)");
        free(yaml);
    }
    assert_refused("clock.zone: Mars/Base\n", 1, "clock.zone: there is no time zone \"Mars/Base\"");
    assert_refused("guards: {protected: [a@x, \"c\\u200beo@x\"]}\n", 1,
                   "guards.protected contains U+200B (zero width space) after \"c\"");
    setenv("OFFBOARD_KAFKA_BROKERS", "", 1);
    assert_refused("", 0, "OFFBOARD_KAFKA_BROKERS: kafka.brokers is empty");
    clean(NULL);
    struct conf *conf = loaded("guards: {protected: [\"\\u200bceo@x\\u00a0\"]}\n");
    assert_string_equal(conf_list_item(conf, "guards.protected", 0), "ceo@x");
    conf_free(conf);
}

static void add_name(const char *name, void *arg)
{
    buf_addf(arg, "%s ", name);
}

static void test_each_name(void **state)
{
    (void)state;
    struct conf *conf = loaded("systems: {okta: {url: a, token: b}, jira: {url: c}}\nedge.tokens.hr.token: abcdefgh\n");
    struct buf names = BUF_INIT;
    conf_each_name(conf, "systems", add_name, &names);
    conf_each_name(conf, "edge.tokens", add_name, &names);
    conf_each_name(conf, "nothing", add_name, &names);
    assert_string_equal(buf_text(&names), "okta jira hr ");
    buf_release(&names);
    conf_free(conf);
}

static void test_document(void **state)
{
    (void)state;
    struct buf page = BUF_INIT;
    conf_document(&page);
    size_t count;
    const struct conf_option *options = conf_options(&count);
    for (size_t i = 0; i < count; i++) {
        char *cell = mem_printf("| `%s`", options[i].key);
        assert_contains(page.data, cell);
        free(cell);
    }
    assert_contains(page.data,
                    "| `topics.partitions` | number, at least 1 | `12` | cli | `OFFBOARD_TOPICS_PARTITIONS` | ");
    assert_contains(page.data, "| `edge.token` (secret) | text | none | cli | `OFFBOARD_EDGE_TOKEN` | ");
    buf_release(&page);
}

static void ask_for_nothing(void *arg)
{
    conf_string(arg, "no.such.option");
}

static void test_programming_errors_abort(void **state)
{
    (void)state;
    struct conf *conf = conf_load(NULL, NULL);
    struct outcome outcome = in_child(ask_for_nothing, conf);
    assert_true(outcome.code != 0);
    assert_contains(outcome.out, "no option \"no.such.option\"");
    free(outcome.out);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, clean, clean),
        cmocka_unit_test_setup_teardown(test_table, clean, clean),
        cmocka_unit_test_setup_teardown(test_file, clean, clean),
        cmocka_unit_test_setup_teardown(test_wrong_file, clean, clean),
        cmocka_unit_test_setup_teardown(test_environment_wins, clean, clean),
        cmocka_unit_test_setup_teardown(test_tokens_of_the_environment, clean, clean),
        cmocka_unit_test_setup_teardown(test_wrong_environment, clean, clean),
        cmocka_unit_test_setup_teardown(test_values_in_files, clean, clean),
        cmocka_unit_test_setup_teardown(test_secrets, clean, clean),
        cmocka_unit_test_setup_teardown(test_clear_and_restore, clean, clean),
        cmocka_unit_test_setup_teardown(test_what_is_kept, clean, clean),
        cmocka_unit_test_setup_teardown(test_the_variable_that_names_the_file, clean, clean),
        cmocka_unit_test_setup_teardown(test_texts_that_cannot_be_right, clean, clean),
        cmocka_unit_test_setup_teardown(test_each_name, clean, clean),
        cmocka_unit_test_setup_teardown(test_document, clean, clean),
        cmocka_unit_test_setup_teardown(test_programming_errors_abort, clean, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
