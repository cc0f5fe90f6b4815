#include "lib/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"

enum { SECRET_MIN = 6 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char **known;
static size_t known_count;

/* Takes over `value`. The lock is held. */
static void keep(char *value)
{
    for (size_t i = 0; i < known_count; i++) {
        if (strcmp(known[i], value) == 0) {
            free(value);
            return;
        }
    }
    known = mem_realloc(known, (known_count + 1) * sizeof *known);
    known[known_count++] = value;
}

static char *base64_of(const char *value)
{
    size_t len = strlen(value);
    char *text = mem_alloc((len + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)value, (int)len);
    text[strcspn(text, "=")] = '\0'; /* padding varies with what surrounds it */
    return text;
}

static char *percent_encoded(const char *value)
{
    struct buf out = BUF_INIT;
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (strchr("-._~", *c) || (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z')) {
            buf_add(&out, c, 1);
        } else {
            buf_addf(&out, "%%%02X", *c);
        }
    }
    return buf_take(&out);
}

void secret_remember(const char *value)
{
    if (!value || strlen(value) < SECRET_MIN) {
        return;
    }
    pthread_mutex_lock(&lock);
    keep(mem_strdup(value));
    keep(base64_of(value));
    keep(percent_encoded(value));
    pthread_mutex_unlock(&lock);
}

/* Length of the longest secret that stands at `text`, 0 when none does. The lock is held. */
static size_t secret_at(const char *text)
{
    size_t longest = 0;
    for (size_t i = 0; i < known_count; i++) {
        size_t len = strlen(known[i]);
        if (len > longest && strncmp(text, known[i], len) == 0) {
            longest = len;
        }
    }
    return longest;
}

char *secret_mask(const char *text)
{
    if (!text) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    struct buf out = BUF_INIT;
    while (*text) {
        size_t len = secret_at(text);
        if (len) {
            buf_adds(&out, "***");
            text += len;
        } else {
            buf_add(&out, text++, 1);
        }
    }
    pthread_mutex_unlock(&lock);
    return buf_take(&out);
}

void secret_wipe(char *text)
{
    OPENSSL_cleanse(text, strlen(text));
}

void secret_forget_all(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < known_count; i++) {
        free(known[i]);
    }
    free(known);
    known = NULL;
    known_count = 0;
    pthread_mutex_unlock(&lock);
}
