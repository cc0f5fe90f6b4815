#include "lib/id.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uuid/uuid.h>

#include "lib/buf.h"
#include "lib/time.h"

/* schema/messages.md, "Ids" */
static const char offboarding_namespace[] = "7d3c2b1e-0c55-5b0e-9a44-6f66626f6172";

void id_v7(char out[ID_SIZE])
{
    uuid_t id;
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id) {
        uuid_generate_random(id);
    }
    uint64_t ms = (uint64_t)(time_now() / 1000);
    for (int i = 0; i < 6; i++) {
        id[i] = (unsigned char)(ms >> (40 - 8 * i));
    }
    id[6] = (unsigned char)((id[6] & 0x0f) | 0x70);
    id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
    uuid_unparse_lower(id, out);
}

int id_v5(const char *ns, const void *name, size_t len, char out[ID_SIZE])
{
    uuid_t space;
    uuid_t id;
    if (uuid_parse(ns, space) != 0) {
        return -1;
    }
    uuid_generate_sha1(id, space, name, len);
    uuid_unparse_lower(id, out);
    return 0;
}

void id_offboarding(const char *source, const char *event_id, char out[ID_SIZE])
{
    struct buf name = BUF_INIT;
    buf_addf(&name, "%s\n%s", source, event_id);
    id_v5(offboarding_namespace, name.data, name.len, out);
    buf_release(&name);
}

int id_job(const char *offboarding_id, const char *phase, const char *step, char out[ID_SIZE])
{
    struct buf name = BUF_INIT;
    buf_addf(&name, "%s/%s", phase, step);
    int result = id_v5(offboarding_id, name.data, name.len, out);
    buf_release(&name);
    return result;
}

int id_initiated(const char *offboarding_id, char out[ID_SIZE])
{
    return id_v5(offboarding_id, "initiated", strlen("initiated"), out);
}

void id_intake(const char *source, const char *event_id, const char *record, char out[ID_SIZE])
{
    struct buf name = BUF_INIT;
    buf_addf(&name, "%s\n%s\nintake/%s", source, event_id, record);
    id_v5(offboarding_namespace, name.data, name.len, out);
    buf_release(&name);
}

void id_signal(const char *source, const char *sent, char out[ID_SIZE])
{
    struct buf name = BUF_INIT;
    buf_addf(&name, "%s\n%s\nsignal", source, sent);
    id_v5(offboarding_namespace, name.data, name.len, out);
    buf_release(&name);
}

void id_order_batch(const char *what, char out[ID_SIZE])
{
    struct buf name = BUF_INIT;
    buf_addf(&name, "%s\norder", what);
    id_v5(offboarding_namespace, name.data, name.len, out);
    buf_release(&name);
}

int id_valid(const char *text)
{
    uuid_t id;
    return text && strlen(text) == ID_LEN && uuid_parse(text, id) == 0;
}

int id_parse(const char *text, char out[ID_SIZE])
{
    uuid_t id;
    if (!id_valid(text) || uuid_parse(text, id) != 0) {
        return -1;
    }
    uuid_unparse_lower(id, out);
    return 0;
}

void id_sha256_hex(const void *data, size_t len, char out[ID_SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[32];
    unsigned int size = sizeof digest;
    EVP_Digest(data, len, digest, &size, EVP_sha256(), NULL);
    for (size_t i = 0; i < sizeof digest; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[64] = '\0';
}
