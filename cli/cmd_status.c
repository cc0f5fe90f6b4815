/* offboard status: what is open, or how one offboarding stands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "lib/json.h"

static struct {
    const char *limit;
    bool all, failed, held, stuck, json;
} opt;

/* ---- all of them ------------------------------------------------------------------------------------------------------- */

/* One row: what needs a person, whichever offboardings the list shows. */
static const char attention_sql[] =
    "SELECT jsonb_build_object('held', (SELECT count(*) FROM analyst.held_offboardings),"
    " 'failures', (SELECT count(*) FROM analyst.open_failures), 'stuck', (SELECT count(*) FROM analyst.stuck_jobs),"
    " 'paused', (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.system), '[]') FROM analyst.paused_systems s),"
    " 'systems', (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.system), '[]') FROM analyst.systems s"
    "             WHERE s.state <> 'up' OR s.unattended_since IS NOT NULL))";

static const char failures_sql[] =
    "SELECT to_jsonb(f) FROM analyst.open_failures f ORDER BY f.failed_at DESC LIMIT $1::integer";
static const char stuck_sql[] = "SELECT to_jsonb(j) FROM analyst.stuck_jobs j ORDER BY j.due_at LIMIT $1::integer";
static const char list_sql[] =
    "SELECT to_jsonb(o) FROM analyst.offboardings o WHERE $2::text IS NULL OR o.status = ANY (string_to_array($2, ','))"
    " ORDER BY o.received_at DESC LIMIT $1::integer";

static void print_since(const json_t *row, const char *member, const char *what)
{
    char *since = cli_text(json_object_get(row, member));
    printf("system %s: %s since %s UTC", json_string_at(row, "system"), what, since);
    free(since);
}

/* "system zoom: rejects our credentials since 2026-11-23 10:03:05 UTC (401): …" */
static void print_system(const json_t *row)
{
    static const char *const words[][2] = {
        {"down", "is down"}, {"refused", "rejects our credentials"}, {"throttled", "throttles us"}};
    const char *state = json_string_at(row, "state");
    for (size_t i = 0; state && i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i][0], state) == 0) {
            char *why = cli_text(json_object_get(row, "why"));
            json_int_t status = json_int_at(row, "status_code", 0);
            print_since(row, "since", words[i][1]);
            if (status) {
                printf(" (%lld)", (long long)status);
            }
            printf(": %s\n", why);
            free(why);
        }
    }
    if (!json_is_null(json_object_get(row, "unattended_since"))) {
        print_since(row, "unattended_since", "has no worker, and jobs wait for one");
        printf("\n");
    }
}

static void print_attention(const json_t *attention)
{
    json_int_t held = json_int_at(attention, "held", 0);
    json_int_t failures = json_int_at(attention, "failures", 0);
    json_int_t stuck = json_int_at(attention, "stuck", 0);
    if (held) {
        printf("held: %lld, waiting for `offboard approve` (`offboard status --held`)\n", (long long)held);
    }
    if (failures) {
        printf("failed jobs: %lld, waiting for `offboard retry` or `skip` (`offboard status --failed`)\n",
               (long long)failures);
    }
    if (stuck) {
        printf("jobs without an answer for 15 minutes: %lld (`offboard status --stuck`)\n", (long long)stuck);
    }
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(attention, "systems"), i, row)
    {
        print_system(row);
    }
    json_array_foreach(json_object_get(attention, "paused"), i, row)
    {
        char *since = cli_text(json_object_get(row, "paused_at"));
        char *reason = cli_text(json_object_get(row, "reason"));
        printf("paused: %s since %s UTC: %s\n", json_string_at(row, "system"), since, reason);
        free(since);
        free(reason);
    }
}

/* The list that was asked for; its name in the JSON and its columns in the table. */
struct list {
    const char *name;
    const char *sql;
    const char *statuses; /* $2 of list_sql; else NULL */
    const char *columns;
    const char *none;
};

static struct list chosen_list(void)
{
    static const char columns[] = "offboarding_id email runbook mode status phase ended jobs failed next_due_at";
    if (opt.failed) {
        return (struct list){"failures", failures_sql, NULL,
                             "offboarding_id email step system outcome failed_at reason", "no failed jobs"};
    }
    if (opt.stuck) {
        return (struct list){"stuck", stuck_sql, NULL,
                             "offboarding_id email step system attempt due_at unpublished paused", "no stuck jobs"};
    }
    if (opt.held) {
        return (struct list){"offboardings", list_sql, "held",
                             "offboarding_id email runbook received_at effective_at reason", "nothing is held"};
    }
    return (struct list){"offboardings", list_sql, opt.all ? NULL : "waiting,initiated,held", columns,
                         opt.all ? "no offboardings" : "no open offboardings (--all shows those that have ended)"};
}

static int show_list(struct cli *cli)
{
    struct list list = chosen_list();
    const char *values[] = {opt.limit ? opt.limit : "50", list.statuses};
    struct err err = ERR_INIT;
    json_t *rows = cli_rows(cli, &err, list.sql, list.sql == list_sql ? 2 : 1, values);
    json_t *attention = rows ? cli_rows(cli, &err, attention_sql, 0, NULL) : NULL;
    if (!attention) {
        json_decref(rows);
        return cli_fail_err(CLI_REFUSED, &err);
    }
    if (opt.json) {
        json_t *both = json_pack("{s:O, s:O}", list.name, rows, "attention", json_array_get(attention, 0));
        cli_print_json(both);
        json_decref(both);
    } else {
        if (json_array_size(rows)) {
            cli_print_table(rows, list.columns);
        } else {
            printf("%s\n", list.none);
        }
        print_attention(json_array_get(attention, 0));
    }
    json_decref(attention);
    json_decref(rows);
    return CLI_OK;
}

/* ---- one --------------------------------------------------------------------------------------------------------------- */

static json_t *time_to_revoke(struct cli *cli, const char *id, struct err *err)
{
    return cli_rows(
        cli, err,
        "SELECT jsonb_build_object('revocations', revocations, 'gone', gone, 'verified', verified, 'skipped', skipped,"
        " 'revoked_at', revoked_at, 'from_event_s', extract(epoch FROM from_event),"
        " 'from_received_s', extract(epoch FROM from_received), 'from_effective_s', extract(epoch FROM from_effective))"
        " FROM analyst.time_to_revoke_by_offboarding WHERE offboarding_id = $1::uuid",
        1, &id);
}

static void print_field(const char *name, const json_t *row, const char *key, const char *after)
{
    const json_t *value = json_object_get(row, key);
    if (value && !json_is_null(value)) {
        char *text = cli_text(value);
        printf("%-12s %s%s\n", name, text, after);
        free(text);
    }
}

/* Done, or asked for: then the key is still to be deleted. */
static void print_erasure(const json_t *offboarding)
{
    bool erased = json_string_at(offboarding, "erased_at") != NULL;
    print_field("erased", offboarding, "erased_at", " UTC");
    if (!erased) {
        print_field("to be erased", offboarding, "erase_ordered_at", " UTC: ordered, and not done yet");
    }
}

/* "access       gone 1.3 s after the HR event arrived: 18 revoking jobs, 15 confirmed by reading back, 2 more skipped" */
static void print_revoked(const json_t *revoked)
{
    long long count = (long long)json_int_at(revoked, "revocations", 0);
    long long skipped = (long long)json_int_at(revoked, "skipped", 0);
    if (json_is_null(json_object_get(revoked, "revoked_at"))) {
        printf("access       gone in %lld of %lld revoking jobs", (long long)json_int_at(revoked, "gone", 0), count);
    } else {
        printf("access       gone %.1f s after the HR event arrived: %lld revoking jobs",
               json_number_value(json_object_get(revoked, "from_received_s")), count);
    }
    printf(", %lld confirmed by reading back", (long long)json_int_at(revoked, "verified", 0));
    if (skipped) {
        printf(", %lld more skipped", skipped);
    }
    printf("\n");
}

/* The jobs of followers that are done are only counted: there may be one for each result. */
static void print_jobs(const json_t *progress)
{
    const json_t *followers = json_object_get(progress, "followers");
    json_t *shown = json_array();
    size_t i;
    json_t *job;
    json_array_foreach(json_object_get(progress, "jobs"), i, job)
    {
        if (!json_string_at(job, "follower") || strcmp(json_string_at(job, "state"), "succeeded") != 0) {
            json_array_append(shown, job);
        }
    }
    cli_print_table(shown, "step system action state outcome attempt due_at verified_at reason");
    json_decref(shown);
    if (json_array_size(followers)) {
        printf("\n");
        cli_print_table(followers, "follower kind system action jobs succeeded failed last_told_at");
    }
}

/* What steps left in place on purpose. */
static json_t *open_items(struct cli *cli, const char *id, struct err *err)
{
    return cli_rows(
        cli, err,
        "SELECT to_jsonb(i) FROM (SELECT step, system, kind, item, why, opened_at, closed_at, closed_by"
        " FROM analyst.open_items WHERE offboarding_id = $1::uuid ORDER BY opened_at, system, kind, item) i",
        1, &id);
}

static void print_open_items(const json_t *items)
{
    json_t *open = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        if (json_is_null(json_object_get(item, "closed_at"))) {
            json_array_append(open, item);
        }
    }
    if (json_array_size(open)) {
        printf("\nleft in place on purpose, to be resolved by a later step or by `offboard skip`:\n");
        cli_print_table(open, "step system kind item why");
    }
    json_decref(open);
}

static void print_one(const json_t *progress)
{
    const json_t *offboarding = json_object_get(progress, "offboarding");
    print_field("offboarding", offboarding, "offboarding_id", "");
    print_field("leaver", offboarding, "email", "");
    print_field("name", offboarding, "name", "");
    print_field("employee id", offboarding, "employee_id", "");
    print_field("status", offboarding, "status", "");
    print_field("reason", offboarding, "reason", "");
    print_field("runbook", offboarding, "runbook", "");
    print_field("mode", offboarding, "mode", "");
    print_field("priority", offboarding, "priority", "");
    print_field("source", offboarding, "source", "");
    print_field("started by", offboarding, "started_by", "");
    print_field("received", offboarding, "received_at", " UTC");
    print_field("effective", offboarding, "effective_at", " UTC");
    print_field("zone", offboarding, "zone", "");
    print_field("started", offboarding, "started_at", " UTC");
    print_field("ended", offboarding, "ended_at", " UTC");
    print_field("next", offboarding, "next_due_at", " UTC");
    print_field("accounts", offboarding, "ids", "");
    print_erasure(offboarding);
    const json_t *revoked = json_object_get(progress, "time_to_revoke");
    if (json_is_object(revoked)) {
        print_revoked(revoked);
    }
    printf("\n");
    cli_print_table(json_object_get(progress, "phases"), "phase status ended jobs failed due_at started_at ended_at");
    printf("\n");
    print_jobs(progress);
    print_open_items(json_object_get(progress, "open_items"));
}

static int show_one(struct cli *cli, const char *named)
{
    struct err err = ERR_INIT;
    char *id = cli_find_offboarding(cli, named, &err);
    json_t *progress = id ? cli_progress(cli, id, &err) : NULL;
    json_t *revoked = progress ? time_to_revoke(cli, id, &err) : NULL;
    json_t *open = revoked ? open_items(cli, id, &err) : NULL;
    free(id);
    if (!open) {
        json_decref(revoked);
        json_decref(progress);
        return cli_fail_err(CLI_NOT_FOUND, &err);
    }
    json_object_set(progress, "time_to_revoke", json_array_size(revoked) ? json_array_get(revoked, 0) : json_null());
    json_object_set_new(progress, "open_items", open);
    if (opt.json) {
        cli_print_json(progress);
    } else {
        print_one(progress);
    }
    json_decref(revoked);
    json_decref(progress);
    return CLI_OK;
}

static int status_run(struct cli *cli, int argc, char **argv)
{
    int lists = opt.all + opt.failed + opt.held + opt.stuck;
    if (argc > 1 || lists > 1 || (argc == 1 && lists)) {
        return cli_fail(CLI_USAGE, "usage: offboard status [OFFBOARDING | --all | --held | --failed | --stuck]");
    }
    char *end = NULL;
    if (opt.limit && (strtol(opt.limit, &end, 10) < 1 || *end || end - opt.limit > 6)) {
        return cli_fail(CLI_USAGE, "--limit must be a number from 1 to 999999, not \"%s\"", opt.limit);
    }
    return argc == 1 ? show_one(cli, argv[0]) : show_list(cli);
}

const struct command command_status = {
    .name = "status",
    .arguments = "[OFFBOARDING | --all | --held | --failed | --stuck]",
    .summary = "Lists what is open and what needs a person, or shows one offboarding.",
    .details =
        "An offboarding is named by its id, the beginning of its id (8 characters), or the leaver's e-mail or "
        "employee\n"
        "id (the newest one). Times are UTC. With --json the rows of the analyst's views: {offboardings, attention},\n"
        "{failures, attention}, {stuck, attention}, or {offboarding, phases, jobs, followers,\n"
        "time_to_revoke} of one.\n\n"
        "  offboard status                        open ones, newest first\n"
        "  offboard status --failed               jobs that wait for `offboard retry` or `offboard skip`\n"
        "  offboard status --held                 offboardings that wait for `offboard approve`\n"
        "  offboard status --stuck                jobs a quarter of an hour past their time\n"
        "  offboard status jane@example.com       phases and jobs, and when access was gone",
    .options = (const struct cli_option[]){{"all", NULL, "those that have ended, too", NULL, &opt.all},
                                           {"held", NULL, "only held ones", NULL, &opt.held},
                                           {"failed", NULL, "failed jobs", NULL, &opt.failed},
                                           {"stuck", NULL, "jobs without an answer", NULL, &opt.stuck},
                                           {"limit", "N", "at most so many rows (default 50)", &opt.limit, NULL},
                                           {"json", NULL, "print JSON", NULL, &opt.json},
                                           {NULL, NULL, NULL, NULL, NULL}},
    .run = status_run,
};
