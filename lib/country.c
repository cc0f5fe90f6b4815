/* The zone of a country: zone.tab of the time zone database, a line each: code, coordinates, zone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/mem.h"
#include "lib/time.h"
#include "lib/zone.h"

/* What the clocks of a country show, zone by zone. */
struct clocks {
    const char *text; /* NULL: the instant `at` */
    int64_t at;
    char *first; /* the zone that is listed first */
    int64_t first_at, first_offset;
    bool differ;
};

static void add_zone(struct clocks *clocks, const char *zone)
{
    int64_t at = clocks->at, offset = 0;
    char abbreviation[16];
    if (clocks->text) {
        time_parse_effective(clocks->text, zone, &at, NULL); /* what can't be read is the same in every zone */
    }
    if (zone_offset(zone, at / TIME_SECOND, &offset, abbreviation, sizeof abbreviation) != 0) {
        return;
    }
    if (!clocks->first) {
        clocks->first = mem_strdup(zone);
        clocks->first_at = at;
        clocks->first_offset = offset;
    }
    clocks->differ = clocks->differ || at != clocks->first_at || offset != clocks->first_offset;
}

char *time_zone_of_country(const char *country, const char *text, int64_t at)
{
    struct clocks clocks = {.text = text, .at = at};
    FILE *file = country && strlen(country) == 2 ? fopen(ZONE_DIRECTORY "/zone.tab", "r") : NULL;
    char *line = NULL;
    size_t cap = 0;
    while (file && !clocks.differ && getline(&line, &cap, file) > 0) {
        char code[3], zone[72];
        if (sscanf(line, "%2[A-Z] %*s %71s", code, zone) == 2 && strcasecmp(code, country) == 0) {
            add_zone(&clocks, zone);
        }
    }
    free(line);
    if (file) {
        fclose(file);
    }
    if (clocks.differ) {
        free(clocks.first);
        clocks.first = NULL;
    }
    return clocks.first;
}
