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

enum {
    SECRET_MIN = 6,       /* a shorter one is masked in its run only, and where it stands as a word */
    SECRET_DISTINCT = 16, /* from here on nothing else looks like it by chance */
};

/* Where one is masked in what later jobs work with. */
enum in_facts { ANYWHERE, AS_WORD, NOWHERE };

struct secret {
    char *text;
    size_t len;
    enum in_facts in_facts;
    unsigned int uses; /* how often it was remembered */
};

struct secret_set {
    struct secret *items; /* longest first: of two that begin alike the longer one is masked */
    size_t count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct secret_set known; /* of the process; under the lock, as is the next */
static bool begins[1 << 16];    /* by begin_of(): what some secret may begin with; there can be thousands of them */

/* A number for the first SECRET_MIN bytes (FNV-1a); `text` has them. */
static uint16_t begin_of(const char *text)
{
    uint32_t hash = 2166136261u;
    for (int i = 0; i < SECRET_MIN; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    }
    return (uint16_t)(hash ^ (hash >> 16));
}

/* Where a secret of that text stands, or would. */
static size_t place_of(const struct secret_set *set, const char *text, bool *there)
{
    size_t len = strlen(text);
    size_t at = 0;
    while (at < set->count &&
           (set->items[at].len > len || (set->items[at].len == len && strcmp(set->items[at].text, text) != 0))) {
        at++;
    }
    *there = at < set->count && set->items[at].len == len;
    return at;
}

static void wipe_and_free(char *text)
{
    secret_wipe(text);
    free(text);
}

static bool is_letter(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
}

/* Words of letters with a capital at most in front, such as a town's or a person's name: they mean other things, too. */
static bool is_plain(const char *text)
{
    for (const char *c = text; *c; c++) {
        bool within = c > text && is_letter((unsigned char)c[-1]);
        bool fits = is_letter((unsigned char)*c) ? !(within && *c >= 'A' && *c <= 'Z') : strchr(" -'.", *c) != NULL;
        if (!fits) {
            return false;
        }
    }
    return true;
}

static enum in_facts facts_of(const char *value)
{
    bool distinct = strlen(value) >= SECRET_DISTINCT;
    if (is_plain(value)) {
        return distinct && !strchr(value, ' ') ? AS_WORD : NOWHERE; /* few words are that long */
    }
    return distinct ? ANYWHERE : AS_WORD;
}

/* Takes over `form`, one of those of a secret. */
static void keep(struct secret_set *set, char *form, enum in_facts in_facts)
{
    bool there;
    size_t at = place_of(set, form, &there);
    if (there) {
        set->items[at].uses++;
        wipe_and_free(form);
        return;
    }
    set->items = mem_realloc(set->items, (set->count + 1) * sizeof *set->items);
    memmove(set->items + at + 1, set->items + at, (set->count - at) * sizeof *set->items);
    set->items[at] = (struct secret){form, strlen(form), in_facts, 1};
    set->count++;
    if (set == &known) {
        begins[begin_of(form)] = true;
    }
}

/* The opposite; takes over `form`, too. `begins` may say more than there is: that costs a look. */
static void drop(struct secret_set *set, char *form, enum in_facts in_facts)
{
    (void)in_facts;
    bool there;
    size_t at = place_of(set, form, &there);
    wipe_and_free(form);
    if (there && --set->items[at].uses == 0) {
        wipe_and_free(set->items[at].text);
        set->count--;
        memmove(set->items + at, set->items + at + 1, (set->count - at) * sizeof *set->items);
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

typedef void each_fn(struct secret_set *set, char *form, enum in_facts in_facts);

static void with_form(struct secret_set *set, char *form, enum in_facts in_facts, size_t least, each_fn *each)
{
    if (form && strlen(form) >= least) {
        each(set, form, in_facts);
    } else if (form) {
        wipe_and_free(form);
    }
}

/* `each` takes over every form of `value`. */
static void each_form(struct secret_set *set, const char *value, each_fn *each)
{
    enum in_facts in_facts = facts_of(value);
    with_form(set, mem_strdup(value), in_facts, 1, each);
    for (size_t before = 0; before < 3; before++) {
        char *base64 = base64_of(value, before);
        with_form(set, base64url_of(base64), in_facts, SECRET_MIN, each);
        with_form(set, base64, in_facts, SECRET_MIN, each);
    }
    with_form(set, percent_encoded(value, "0123456789ABCDEF", "%20"), in_facts, 1, each);
    with_form(set, percent_encoded(value, "0123456789abcdef", "%20"), in_facts, 1, each);
    with_form(set, percent_encoded(value, "0123456789ABCDEF", "+"), in_facts, 1, each); /* a form */
    with_form(set, json_escaped(value), in_facts, 1, each);
}

static void with_known(const char *value, each_fn *each)
{
    if (value && strlen(value) >= SECRET_MIN) {
        pthread_mutex_lock(&lock);
        each_form(&known, value, each);
        pthread_mutex_unlock(&lock);
    }
}

void secret_remember(const char *value)
{
    with_known(value, keep);
}

void secret_forget(const char *value)
{
    with_known(value, drop);
}

static void set_clear(struct secret_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        wipe_and_free(set->items[i].text);
    }
    free(set->items);
    *set = (struct secret_set){NULL, 0};
}

struct secret_set *secret_set_new(void)
{
    return MEM_NEW(struct secret_set);
}

void secret_set_add(struct secret_set *set, const char *value)
{
    if (value && strlen(value) >= SECRET_SET_MIN) {
        each_form(set, value, keep);
    }
}

void secret_set_free(struct secret_set *set)
{
    if (set) {
        set_clear(set);
        free(set);
    }
}

/* ---- masking ----------------------------------------------------------------------------------------------------------- */

static bool is_wordy(unsigned char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

/* Does what stands at `at` in `text` end and begin where words do? */
static bool is_word(const char *text, const char *at, size_t len)
{
    bool begins_word = at == text || !is_wordy((unsigned char)at[-1]) || !is_wordy((unsigned char)at[0]);
    return begins_word && (!is_wordy((unsigned char)at[len]) || !is_wordy((unsigned char)at[len - 1]));
}

static bool counts(const struct secret *secret, bool fact, const char *text, const char *at)
{
    if (strncmp(at, secret->text, secret->len) != 0 || (fact && secret->in_facts == NOWHERE)) {
        return false;
    }
    bool anywhere = fact ? secret->in_facts == ANYWHERE : secret->len >= SECRET_MIN;
    return anywhere || is_word(text, at, secret->len);
}

static size_t longest_at(const struct secret_set *set, bool fact, const char *text, const char *at)
{
    for (size_t i = 0; i < set->count; i++) {
        if (counts(&set->items[i], fact, text, at)) {
            return set->items[i].len;
        }
    }
    return 0;
}

/* Length of the longest secret that stands at `at` in `text`, 0 when none does. The lock is held. */
static size_t secret_at(const struct secret_set *set, bool fact, const char *text, const char *at)
{
    bool maybe = strnlen(at, SECRET_MIN) == SECRET_MIN && begins[begin_of(at)];
    size_t everybodys = maybe ? longest_at(&known, fact, text, at) : 0;
    size_t own = set ? longest_at(set, fact, text, at) : 0;
    return own > everybodys ? own : everybodys;
}

static char *mask(const struct secret_set *set, bool fact, const char *text)
{
    if (!text) {
        return NULL;
    }
    struct buf out = {.max = SIZE_MAX / 4};
    const char *from = text; /* not yet copied */
    const char *at = text;
    pthread_mutex_lock(&lock);
    while (*at) {
        size_t len = secret_at(set, fact, text, at);
        if (!len) {
            at++;
            continue;
        }
        buf_add(&out, from, (size_t)(at - from));
        buf_adds(&out, "***");
        at += len;
        from = at;
    }
    pthread_mutex_unlock(&lock);
    buf_adds(&out, from);
    return buf_take(&out);
}

char *secret_mask(const char *text)
{
    return mask(NULL, false, text);
}

char *secret_set_mask(const struct secret_set *set, const char *text)
{
    return mask(set, false, text);
}

char *secret_set_mask_fact(const struct secret_set *set, const char *fact)
{
    return mask(set, true, fact);
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
    set_clear(&known);
    memset(begins, 0, sizeof begins);
    pthread_mutex_unlock(&lock);
}
