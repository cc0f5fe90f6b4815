/* When access ends, and in which zone that is told. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mapping_internal.h"
#include "lib/mem.h"
#include "lib/time.h"

/* rules.md 7: the event's zone, else the country's, else clock.zone. `text` is when access ends, NULL: now. */
static int put_zone(const struct mapping *mapping, json_t *offboarding, const char *text)
{
    char *zone = NULL;
    if (mapping_text(mapping, "zone", NULL, 0, &zone) != 0) {
        return -1;
    }
    if (zone && !time_zone_known(zone)) {
        err_set(mapping->err, ERR_PERMANENT, "zone: there is no time zone \"%s\" (IANA name, like Europe/Berlin)",
                zone);
        free(zone);
        return -1;
    }
    if (!zone) {
        zone = time_zone_of_country(json_string_at(offboarding, "user.country"), text, mapping->received_at);
    }
    json_put_string(offboarding, "zone", zone ? zone : conf_string(mapping->conf, "clock.zone"));
    free(zone);
    return 0;
}

/* When access ends, as the event says it; NULL: now. An empty text is refused: it usually is
 * a cell that nobody filled in, and an offboarding that has started can't be taken back. */
static int map_effective_at(const struct mapping *mapping, char **text)
{
    json_t *value = mapping_value(mapping, "effective_at");
    int result = value ? mapping_check_text("effective_at", value, mapping->err) : -1;
    const char *given = json_string_value(value);
    if (result == 0 && given && !given[strspn(given, " \t\r\n")]) {
        result = err_set(mapping->err, ERR_PERMANENT,
                         "effective_at is empty: give a date or a date-time; leave it out or send null to start now");
    }
    *text = result == 0 ? mem_strdup(given) : NULL;
    json_decref(value);
    return result;
}

static int put_effective_at(const struct mapping *mapping, json_t *offboarding, const char *text)
{
    int64_t at = mapping->received_at;
    const char *time = json_string_at(mapping->event, "time");
    if (text) {
        if (time_parse_effective(text, json_string_at(offboarding, "zone"), &at, mapping->err) != 0) {
            return err_prefix(mapping->err, "effective_at");
        }
    } else if (time && time_parse(time, &at, NULL) == 0 && at > mapping->received_at) {
        at = mapping->received_at; /* a sender's clock that runs ahead delays nobody's offboarding */
    }
    json_put_instant(offboarding, "effective_at", at);
    return 0;
}

int mapping_put_times(const struct mapping *mapping, json_t *offboarding, bool *dated)
{
    char *text = NULL;
    bool fine = map_effective_at(mapping, &text) == 0 && put_zone(mapping, offboarding, text) == 0 &&
                put_effective_at(mapping, offboarding, text) == 0;
    *dated = text != NULL;
    free(text);
    return fine ? 0 : -1;
}
