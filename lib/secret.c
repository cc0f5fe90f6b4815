#include "lib/secret.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"

enum { SECRET_MIN = 6 };

struct secret {
    char *text;
    size_t len;
    unsigned int uses; /* how often it was remembered */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct secret *known; /* longest first: of two that begin alike the longer one is masked */
static size_t known_count;
static bool begins[1 << 16]; /* by begin_of(): what some secret may begin with; there can be thousands of them */

/* A number for the first SECRET_MIN bytes (FNV-1a); `text` has them. */
static uint16_t begin_of(const char *text)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < SECRET_MIN; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    }
    return (uint16_t)(hash ^ (hash >> 16));
}

/* Where a secret of that text stands, or would. The lock is held. */
static size_t place_of(const char *text, bool *there)
{
    size_t len = strlen(text);
    size_t at = 0;
    while (at < known_count && (known[at].len > len || (known[at].len == len && strcmp(known[at].text, text) != 0))) {
        at++;
    }
    *there = at < known_count && known[at].len == len;
    return at;
}

static void wipe_and_free(char *text)
{
    secret_wipe(text);
    free(text);
}

/* Takes over `value`. The lock is held. */
static void keep(char *value)
{
    bool there;
    size_t at = place_of(value, &there);
    if (strlen(value) < SECRET_MIN) {
        wipe_and_free(value);
    } else if (there) {
        known[at].uses++;
        wipe_and_free(value);
    } else {
        known = mem_realloc(known, (known_count + 1) * sizeof *known);
        memmove(known + at + 1, known + at, (known_count - at) * sizeof *known);
        known[at] = (struct secret){value, strlen(value), 1};
        known_count++;
        begins[begin_of(value)] = true;
    }
}

/* The opposite; takes over `value`, too. `begins` may say more than there is: that costs a look. */
static void drop(char *value)
{
    bool there;
    size_t at = place_of(value, &there);
    wipe_and_free(value);
    if (there && --known[at].uses == 0) {
        wipe_and_free(known[at].text);
        known_count--;
        memmove(known + at, known + at + 1, (known_count - at) * sizeof *known);
    }
}

/* ---- other forms of a secret ------------------------------------------------------------------------------------------- */

/* The characters of base64 that depend on nothing but `value` when `before` bytes (modulo 3) stand in front of it. */
static char *base64_of(const char *value, size_t before)
{
    static const size_t unsure[] = {0, 2, 3}; /* first characters that hold bits of what is in front */
    size_t len = strlen(value) + before;
    unsigned char *bytes = mem_alloc(len);
    memcpy(bytes + before, value, len - before);
    char *text = mem_alloc((len + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    OPENSSL_cleanse(bytes, len);
    free(bytes);
    size_t sure = len * 8 / 6; /* what follows changes the character after */
    memmove(text, text + unsure[before], sure - unsure[before]);
    memset(text + sure - unsure[before], 0, unsure[before] + 1);
    return text;
}

/* RFC 4648, 5: the alphabet for URLs. */
static char *base64url_of(const char *base64)
{
    char *text = mem_strdup(base64);
    for (char *c = text; *c; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
    return text;
}

static char *percent_encoded(const char *value, const char *digits, const char *blank)
{
    struct buf out = BUF_INIT;
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (strchr("-._~", *c) || (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z')) {
            buf_add(&out, c, 1);
        } else if (*c == ' ') {
            buf_adds(&out, blank);
        } else {
            buf_addf(&out, "%%%c%c", digits[*c >> 4], digits[*c & 15]);
        }
    }
    return buf_take(&out);
}

/* As it stands between quotes in JSON; NULL when it is no UTF-8. */
static char *json_escaped(const char *value)
{
    json_t *string = json_string(value);
    char *text = json_dumps(string, JSON_ENCODE_ANY);
    json_decref(string);
    if (text) {
        size_t len = strlen(text);
        memmove(text, text + 1, len - 2);
        text[len - 2] = '\0';
    }
    return text;
}

/* `each` takes over every form of `value`. */
static void each_form(const char *value, void (*each)(char *form))
{
    if (!value || strlen(value) < SECRET_MIN) {
        return;
    }
    pthread_mutex_lock(&lock);
    each(mem_strdup(value));
    for (size_t before = 0; before < 3; before++) {
        char *base64 = base64_of(value, before);
        each(base64url_of(base64));
        each(base64);
    }
    each(percent_encoded(value, "0123456789ABCDEF", "%20"));
    each(percent_encoded(value, "0123456789abcdef", "%20"));
    each(percent_encoded(value, "0123456789ABCDEF", "+")); /* a form */
    char *escaped = json_escaped(value);
    if (escaped) {
        each(escaped);
    }
    pthread_mutex_unlock(&lock);
}

void secret_remember(const char *value)
{
    each_form(value, keep);
}

void secret_forget(const char *value)
{
    each_form(value, drop);
}

/* ---- masking ----------------------------------------------------------------------------------------------------------- */

/* Length of the longest secret that stands at `text`, 0 when none does. The lock is held. */
static size_t secret_at(const char *text)
{
    if (strnlen(text, SECRET_MIN) < SECRET_MIN || !begins[begin_of(text)]) {
        return 0;
    }
    for (size_t i = 0; i < known_count; i++) {
        if (strncmp(text, known[i].text, known[i].len) == 0) {
            return known[i].len;
        }
    }
    return 0;
}

char *secret_mask(const char *text)
{
    if (!text) {
        return NULL;
    }
    struct buf out = {.max = SIZE_MAX / 4};
    pthread_mutex_lock(&lock);
    const char *from = text; /* not yet copied */
    while (*text) {
        size_t len = secret_at(text);
        if (!len) {
            text++;
            continue;
        }
        buf_add(&out, from, (size_t)(text - from));
        buf_adds(&out, "***");
        text += len;
        from = text;
    }
    pthread_mutex_unlock(&lock);
    buf_adds(&out, from);
    return buf_take(&out);
}

void secret_wipe(char *text)
{
    if (text) {
        OPENSSL_cleanse(text, strlen(text));
    }
}

void secret_forget_all(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < known_count; i++) {
        secret_wipe(known[i].text);
        free(known[i].text);
    }
    free(known);
    known = NULL;
    known_count = 0;
    memset(begins, 0, sizeof begins);
    pthread_mutex_unlock(&lock);
}
