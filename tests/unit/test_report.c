/* Results as people read them. */
/* links: worker/report.c worker/report_phase.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/report.h"

/* The text of a follower's job message, of which `rest` are the members beside its job's results. */
static char *report(const char *kind, const char *results, const char *rest)
{
    char *text = mem_printf(
        "{\"id\": \"0b6e\", \"started_at\": \"2026-03-01T10:00:00Z\", \"zone\": \"Europe/Berlin\", "
        "\"user\": {\"name\": \"Jane Doe\", \"email\": \"jane@x.org\"%s}, "
        "\"job\": {\"follower\": \"%s\", \"phase\": \"access\", \"results\": [%s], \"phases\": ["
        "{\"name\": \"access\", \"title\": \"access ends\", \"status\": \"initiated\", \"ends_access\": true}, "
        "{\"name\": \"devices\", \"title\": \"devices come back\", \"status\": \"initiated\"}, "
        "{\"name\": \"end\", \"title\": \"the account is deleted\", \"status\": \"waiting\", \"due_at\": "
        "\"2026-05-29T23:00:00Z\"}, {\"name\": \"closed\", \"status\": \"waiting\"}]}}",
        rest, kind, results);
    json_t *message = json_parse(text, strlen(text), NULL);
    free(text);
    assert_non_null(message);
    char *said = report_text(message);
    json_decref(message);
    return said;
}

static void assert_report(const char *kind, const char *results, const char *rest, const char *expected)
{
    char *text = report(kind, results, rest);
    assert_string_equal(text, expected);
    free(text);
}

#define TITLE(system, action) "\"title\": {\"system\": \"" system "\", \"action\": \"" action "\"}"
#define GONE                                                                                                           \
    "{\"step\": \"a\", \"system\": \"okta\", \"effect\": \"revoke\", \"state\": \"succeeded\", \"outcome\": "          \
    "\"succeeded\", \"at\": \"2026-03-01T10:00:04Z\", \"verified\": true, \"says\": \"account deactivated\", " TITLE(  \
        "Okta", "deactivate the account") "}"
#define UNSEEN                                                                                                         \
    "{\"step\": \"b\", \"system\": \"google\", \"effect\": \"revoke\", \"state\": \"succeeded\", \"outcome\": "        \
    "\"already_done\", \"at\": \"2026-03-01T10:00:01Z\", \"verified\": false, " TITLE("Google",                        \
                                                                                      "end all sessions") "}"
#define REFUSED                                                                                                        \
    "{\"step\": \"c\", \"system\": \"zoom\", \"effect\": \"revoke\", \"state\": \"failed\", \"outcome\": "             \
    "\"blocked\", "                                                                                                    \
    "\"message\": \"nobody to hand it to\", " TITLE("Zoom", "delete the account") "}"
#define NOBODY                                                                                                         \
    "{\"step\": \"d\", \"system\": \"slack\", \"effect\": \"revoke\", \"state\": \"skipped\", \"outcome\": "           \
    "\"missing\", " TITLE("Slack", "deactivate the account") "}"
#define ABSENT                                                                                                         \
    "{\"step\": \"e\", \"system\": \"jamf\", \"effect\": \"revoke\", \"state\": \"skipped\", \"outcome\": "            \
    "\"unconfigured\", " TITLE("Jamf", "lock the computers") "}"
#define SILENT                                                                                                         \
    "{\"step\": \"f\", \"system\": \"slack\", \"effect\": \"notify\", \"state\": \"succeeded\", \"says\": "            \
    "\"\", " TITLE("Slack", "open a thread") "}"
#define WAITS                                                                                                          \
    "{\"step\": \"g\", \"system\": \"email\", \"effect\": \"notify\", \"state\": \"waiting\", " TITLE(                 \
        "Mail", "send a mail") "}"
#define HANDED                                                                                                         \
    "{\"step\": \"h\", \"system\": \"google\", \"effect\": \"handover\", \"state\": \"succeeded\", \"outcome\": "      \
    "\"succeeded\", " TITLE("Google", "delegate the mailbox") "}"

#define LOOKED                                                                                                         \
    "{\"step\": \"l\", \"system\": \"okta\", \"effect\": \"identify\", \"state\": \"succeeded\", \"outcome\": "        \
    "\"succeeded\", " TITLE("Okta", "read the leaver's profile") "}"

static void test_lines(void **state)
{
    (void)state;
    assert_report("mirror", GONE "," UNSEEN "," REFUSED "," NOBODY "," SILENT, "",
                  "\u2705 Okta: account deactivated\n\u2705 Google: done: end all sessions\n"
                  "\u274c Zoom: could not delete the account: nobody to hand it to");
    assert_report("mirror", SILENT "," NOBODY, "", "");
    assert_report("mirror", "", "", "");
    assert_report("on_failure", REFUSED, "", "\u274c Zoom: could not delete the account: nobody to hand it to");
    assert_report("mirror",
                  "{\"state\": \"ready\", \"outcome\": \"progress\", \"message\": \"UPS 1Z is on its way\", " TITLE(
                      "AfterShip", "follow the parcel") "}",
                  "", "\u23f3 AfterShip: UPS 1Z is on its way");
}

#define NEXT "\nUnder way: devices come back.\nNext: 30 May 2026: the account is deleted."

static void test_all_is_gone(void **state)
{
    (void)state;
    assert_report("on_phase_end", GONE "," UNSEEN "," NOBODY "," ABSENT "," HANDED,
                  ", \"manager\": {\"name\": \"Bo Ss\", \"email\": \"bo@x.org\"}",
                  "Report on Jane Doe: access ends\n"
                  "\u2705 All access is gone in Okta and Google: 2 of 2 steps, the last 4 seconds after the start. "
                  "Confirmed by reading back: 1.\nCannot be read back: Google: end all sessions.\n"
                  "Nothing was found of this person in Slack.\n"
                  "Not set up here: Jamf.\n"
                  "Takes over: Bo Ss (bo@x.org)." NEXT);
}

static void test_not_all_is_gone(void **state)
{
    (void)state;
    assert_report("on_phase_end", GONE "," REFUSED "," WAITS, "",
                  "Report on Jane Doe: access ends\n"
                  "\u26a0\ufe0f Access is NOT all gone in Okta and Zoom: 1 of 2 steps are done. "
                  "Confirmed by reading back: 1.\n"
                  "A person must act:\n\u274c Zoom: could not delete the account: nobody to hand it to\n"
                  "`offboard status 0b6e` says how to go on.\n"
                  "Still to come:\n\u2022 Mail: send a mail" NEXT);
}

/* A system that only practises, and a step that a person gave up: neither is gone. */
static void test_what_is_not_gone(void **state)
{
    (void)state;
    static const char dry[] =
        "{\"system\": \"okta\", \"effect\": \"revoke\", \"state\": \"succeeded\", \"dry\": true, " TITLE(
            "Okta", "deactivate the account") "}";
    static const char given_up[] =
        "{\"system\": \"zoom\", \"effect\": \"revoke\", \"state\": \"skipped\", \"outcome\": \"failed\", \"message\": "
        "\"skipped: Zoom is gone\", " TITLE("Zoom", "deactivate the account") "}";
    char *results = mem_printf("%s,%s", dry, given_up);
    char *said = report("on_phase_end", results, "");
    assert_non_null(strstr(said, "Access is NOT all gone in Okta and Zoom: 0 of 2 steps are done."));
    assert_non_null(strstr(said, "Skipped by a person: Zoom: deactivate the account (skipped: Zoom is gone)"));
    free(said);
    said = report("mirror", dry, "");
    assert_non_null(strstr(said, "Okta: dry run, would deactivate the account"));
    free(said);
    free(results);
}

static void test_what_is_left_in_place(void **state)
{
    (void)state;
    static const char text[] = "{\"id\": \"0b6e\", \"job\": {\"follower\": \"on_phase_end\", \"phase\": \"access\", "
                               "\"left\": [{\"system\": \"GitHub\", \"item\": \"jane\", \"why\": \"invitations are not "
                               "seen\"}], \"results\": [" GONE "]}}";
    json_t *message = json_parse(text, strlen(text), NULL);
    char *said = report_text(message);
    assert_non_null(strstr(said, "\nLeft in place on purpose:\n\u2022 GitHub: jane (invitations are not seen)"));
    free(said);
    json_decref(message);
}

static void test_undone(void **state)
{
    (void)state;
    assert_report(
        "on_phase_end",
        GONE ",{\"undo_of\": \"a\", \"effect\": \"handover\", \"state\": \"succeeded\", \"says\": \"account is active "
             "again\", " TITLE("Okta", "activate the account again") "}",
        "", "Report on Jane Doe: access ends\nTaken back:\n\u21a9\ufe0f Okta: account is active again");
}

/* A phase that takes no access away, and one for which there was nothing to do. */
static void test_other_phases(void **state)
{
    (void)state;
    assert_report("on_phase_end", HANDED, "", "Report on Jane Doe: access ends\n\u2705 Complete." NEXT);
    assert_report(
        "on_phase_end", NOBODY, "",
        "Report on Jane Doe: access ends\n\u26a0\ufe0f No account was found, so nothing was changed. If the address is "
        "wrong, access is still there.\n"
        "Nothing was found of this person in Slack." NEXT);
    assert_report("on_phase_end", LOOKED "," ABSENT, "",
                  "Report on Jane Doe: access ends\n\u2796 Nothing was done.\nNot set up here: Jamf." NEXT);
}

static void test_a_phase_that_only_told_of_others(void **state)
{
    (void)state;
    assert_report("on_phase_end", SILENT "," WAITS, "", "");
}

static void test_cancelled(void **state)
{
    (void)state;
    char *text = mem_printf(
        "{\"id\": \"0b6e\", \"user\": {\"email\": \"jane@x.org\"}, \"job\": {\"follower\": \"on_phase_end\", "
        "\"phase\": \"access\", \"cancelled\": \"she stays\", \"results\": [%s]}}",
        GONE "," WAITS);
    json_t *message = json_parse(text, strlen(text), NULL);
    assert_non_null(message);
    char *said = report_text(message);
    assert_string_equal(said, "Report on jane@x.org: access\n\U0001f6d1 Cancelled: she stays."
                              "\nDone before, and not taken back:\n\u2022 Okta: account deactivated\n"
                              "`offboard undo 0b6e` takes back what can be taken back.");
    free(said);
    free(text);
    json_decref(message);
}

static void test_agenda(void **state)
{
    (void)state;
    static const char text[] =
        "{\"zone\": \"Europe/Berlin\", \"job\": {\"phases\": ["
        "{\"name\": \"access\", \"title\": \"access ends\", \"status\": \"initiated\", \"steps\": ["
        "{\"system\": \"Okta\", \"action\": \"end all sessions\"}, {\"system\": \"Slack\", \"action\": \"deactivate "
        "the "
        "account\"}, {\"system\": \"Okta\", \"action\": \"deactivate the account\"}]}, "
        "{\"name\": \"end\", \"status\": \"waiting\", \"due_at\": \"2026-05-29T23:00:00Z\", \"steps\": [{\"system\": "
        "\"Okta\", "
        "\"action\": \"delete the account\"}]}, "
        "{\"name\": \"closed\", \"status\": \"waiting\", \"due_at\": \"2026-05-29T23:00:00Z\", \"steps\": []}]}}";
    json_t *message = json_parse(text, strlen(text), NULL);
    assert_non_null(message);
    char *agenda = report_agenda(message);
    assert_string_equal(agenda,
                        "Now: access ends\n\u2022 Okta: end all sessions and deactivate the account\n"
                        "\u2022 Slack: deactivate the account\n\n30 May 2026: end\n\u2022 Okta: delete the account");
    free(agenda);
    json_decref(message);
}

/* What a vendor says may be long; a message that is too long could not be sent at all. */
static void test_cut(void **state)
{
    (void)state;
    static const char *const reports[] = {"mirror", "on_phase_end"};
    for (size_t i = 0; i < COUNT_OF(reports); i++) {
        json_t *list = json_array();
        for (int j = 0; j < 1000; j++) {
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:s}", "step", "s", "state", "failed", "message", "refused"));
        }
        json_t *message = json_pack("{s:{s:s, s:o}}", "job", "follower", reports[i], "results", list);
        char *text = report_text(message);
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
        json_decref(message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_all_is_gone),
        cmocka_unit_test(test_not_all_is_gone),
        cmocka_unit_test(test_what_is_not_gone),
        cmocka_unit_test(test_what_is_left_in_place),
        cmocka_unit_test(test_undone),
        cmocka_unit_test(test_other_phases),
        cmocka_unit_test(test_a_phase_that_only_told_of_others),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_agenda),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
