/* Findings: collected, counted, printed. */
#include "cli/compare.h"

#include <stdio.h>
#include <string.h>

#include "lib/json.h"

static const char *const severities[] = {"error", "warning", "note"};

void compare_add(struct comparison *comparison, enum severity severity, const char *kind, const char *what,
                 const char *here, const char *there, const char *why)
{
    json_t *finding = json_pack("{s:s, s:s, s:s}", "severity", severities[severity], "kind", kind, "what", what);
    json_put_string(finding, "here", here);
    json_put_string(finding, "there", there);
    json_put_string(finding, "why", why);
    json_array_append_new(comparison->findings, finding);
}

static bool is(const json_t *finding, enum severity severity)
{
    return strcmp(json_string_at(finding, "severity"), severities[severity]) == 0;
}

size_t compare_count(const struct comparison *comparison, enum severity severity)
{
    size_t count = 0;
    size_t i;
    json_t *finding;
    json_array_foreach(comparison->findings, i, finding)
    {
        count += is(finding, severity);
    }
    return count;
}

static void print_finding(const json_t *finding)
{
    const char *here = json_string_at(finding, "here");
    const char *there = json_string_at(finding, "there");
    const char *why = json_string_at(finding, "why");
    printf("%-7s  %-10s  %s", json_string_at(finding, "severity"), json_string_at(finding, "kind"),
           json_string_at(finding, "what"));
    if (here || there) {
        printf(": here %s, there %s", here ? here : "not set", there ? there : "not set");
    }
    printf("%s%s\n", why ? (here || there ? "; " : ": ") : "", why ? why : "");
}

void compare_print(const struct comparison *comparison)
{
    for (enum severity severity = COMPARE_ERROR; severity <= COMPARE_NOTE; severity++) {
        size_t i;
        json_t *finding;
        json_array_foreach(comparison->findings, i, finding)
        {
            if (is(finding, severity)) {
                print_finding(finding);
            }
        }
    }
    printf("%zu errors, %zu warnings, %zu notes\n", compare_count(comparison, COMPARE_ERROR),
           compare_count(comparison, COMPARE_WARNING), compare_count(comparison, COMPARE_NOTE));
}
