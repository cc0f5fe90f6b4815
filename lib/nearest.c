#include "lib/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

static size_t allowed_edits(const char *right)
{
    return strlen(right) / 3 + 1;
}

static bool lengths_near(const char *wrong, const char *right)
{
    size_t a = strlen(wrong), b = strlen(right);
    return (a > b ? a - b : b - a) <= allowed_edits(right);
}

static size_t distance(const char *a, const char *b)
{
    size_t len = strlen(b);
    size_t *row = mem_alloc((len + 1) * sizeof *row);
    for (size_t j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t change = diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]));
            diagonal = row[j + 1];
            row[j + 1] = least(change, row[j] + 1, row[j + 1] + 1);
        }
    }
    size_t result = row[len];
    free(row);
    return result;
}

const char *nearest_name(const char *wrong, const char *const *right, size_t count)
{
    const char *best = NULL;
    size_t fewest = 0;
    for (size_t i = 0; i < count; i++) {
        if (!lengths_near(wrong, right[i])) {
            continue; /* whatever stands there: no need to look at a long text letter by letter */
        }
        size_t edits = distance(wrong, right[i]);
        if (edits <= allowed_edits(right[i]) && (!best || edits < fewest)) {
            best = right[i];
            fewest = edits;
        }
    }
    return best;
}

const char *nearest_unknown(const json_t *object, const char *const *right, size_t count)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        size_t i = 0;
        while (i < count && strcmp(right[i], name) != 0) {
            i++;
        }
        if (i == count) {
            return name;
        }
    }
    return NULL;
}
