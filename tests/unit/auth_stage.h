/* An engine before a vendor that wants access tokens and grants them. */
#ifndef OFFBOARD_TESTS_UNIT_AUTH_STAGE_H
#define OFFBOARD_TESTS_UNIT_AUTH_STAGE_H

#include <openssl/evp.h>

#include "tests/unit/engine_stand.h"

/* Kinds of `auth`, open at the end. */
#define SECRET "s3cret/of the+client"
#define CLIENT                                                                                                         \
    "client_credentials: {url: \"${ .settings.url }/token\", id: \"${ .settings.id }\", "                              \
    "secret: \"${ .settings.secret }\""
#define SERVICE      "service_account: {key: \"${ .settings.key }\", subject: admin@example.com, scopes: [directory, users]"
#define SERVICE_HERE SERVICE ", url: \"${ .settings.url }/token\"}"

enum { NOTED_MAX = 200 };

/* Grants token-1, token-2, …, and takes the latest one (or, with `refuses`, none). */
struct vendor {
    int granted;
    int asked; /* at the token endpoint */
    bool refuses;
    bool sees_any;        /* takes every token that was granted */
    const char *expires;  /* a member of the grant; NULL: an hour */
    struct exchange fail; /* instead of a grant while status is set */
    int fail_times;       /* how often; 0: always */
    const char *fail_for; /* only while the form holds this; NULL: always */
    char *noted[NOTED_MAX];
    size_t noted_count; /* "METHOD /target authorization\nbody" */
    char *bodies[NOTED_MAX];
    size_t body_count;
};

struct stage {
    struct vendor vendor;
    struct engine_stand *stand;
    EVP_PKEY *pkey;
    char *pem;
};

/* A connector with that `auth`: `read` asks for /thing, `change` changes something after; with a service account `mail` acts
 * for the leaver, `post` with the usual scopes in another order, `gone` for nobody. The caller frees. */
char *auth_connector(const char *auth);

/* The JSON text of a key file, and a setting with a value in quotes. The caller frees. */
char *key_file(const char *pem, const char *url);
char *setting(const char *name, const char *value);

void set_stage(struct stage *stage, const char *auth, const char *options);
void clear_stage(struct stage *stage);

/* The claims of the assertion in a form; NULL: there is none. New reference. */
json_t *claims_of(const char *form);

struct trial *started(struct stage *stage, const char *action, const char *user);
void ended(struct trial *trial, const char *outcome); /* lets the loop run until it has, so */
void succeeds(struct stage *stage, const char *action, const char *user);

#endif
