#include "lib/fold.h"

#include <idn2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"

enum { FINAL_SIGMA = 0x3c2, SIGMA = 0x3c3, CHARACTER_MAX = 6 };

/* The simple lower case of each character, which keeps ß apart from ss; a sigma at the end of a word is one like any other. */
static char *lowered(const uint8_t *text, size_t len)
{
    uint8_t *lower = mem_alloc(len * CHARACTER_MAX + 1);
    size_t out = 0;
    ucs4_t character;
    for (size_t in = 0; in < len;) {
        int step = u8_mbtouc(&character, text + in, len - in);
        in += step > 0 ? (size_t)step : 1;
        character = uc_tolower(character);
        int size = u8_uctomb(lower + out, character == FINAL_SIGMA ? SIGMA : character, CHARACTER_MAX);
        out += size > 0 ? (size_t)size : 0;
    }
    lower[out] = '\0';
    return (char *)lower;
}

/* Composed before and after: a letter may have its lower case only when it is whole, and the other way round. */
static char *composed(const char *text, size_t len, size_t *out)
{
    uint8_t *whole = u8_normalize(UNINORM_NFC, (const uint8_t *)text, len, NULL, out);
    if (!whole) {
        *out = len;
        return mem_strndup(text, len);
    }
    char *copy = mem_strndup((const char *)whole, *out);
    free(whole);
    return copy;
}

static char *folded(const char *text, size_t len)
{
    size_t size;
    char *whole = composed(text, len, &size);
    char *lower = lowered((const uint8_t *)whole, size);
    char *result = composed(lower, strlen(lower), &size);
    free(lower);
    free(whole);
    return result;
}

char *fold_text(const char *text)
{
    return !text ? NULL : text_is_ascii(text) ? json_lower(text) : folded(text, strlen(text));
}

/* A domain that IDNA refuses is folded as a text. */
static char *domain_in_dns(const char *domain)
{
    uint8_t *dns = NULL;
    if (text_is_ascii(domain) ||
        idn2_lookup_u8((const uint8_t *)domain, &dns, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) {
        return fold_text(domain);
    }
    char *lower = json_lower((const char *)dns);
    idn2_free(dns);
    return lower;
}

static char *domain_of_people(const char *domain)
{
    char *shown = NULL;
    if (idn2_to_unicode_8z8z(domain, &shown, 0) != IDN2_OK) {
        return mem_strdup(domain);
    }
    char *copy = mem_strdup(shown);
    idn2_free(shown);
    return copy;
}

char *fold_address(const char *address)
{
    const char *at = address ? strrchr(address, '@') : NULL;
    if (!at || text_is_ascii(address)) {
        return fold_text(address);
    }
    char *local = folded(address, (size_t)(at - address));
    char *domain = domain_in_dns(at + 1);
    char *result = mem_printf("%s@%s", local, domain);
    free(domain);
    free(local);
    return result;
}

char *fold_shown(const char *address)
{
    const char *at = address ? strrchr(address, '@') : NULL;
    if (!at) {
        return address ? mem_strdup(address) : NULL;
    }
    char *domain = domain_of_people(at + 1);
    char *result = mem_printf("%.*s@%s", (int)(at - address), address, domain);
    free(domain);
    return result;
}

bool fold_same(const char *a, const char *b)
{
    if (!a || !b || (text_is_ascii(a) && text_is_ascii(b))) {
        return a && b && strcasecmp(a, b) == 0;
    }
    char *one = fold_address(a), *other = fold_address(b);
    bool same = strcmp(one, other) == 0;
    free(one);
    free(other);
    return same;
}
