/* Access tokens: kept by what they are for, fetched once for all who wait, renewed before they expire. A token is a secret
 * (lib/secret.h) as long as it is kept. */
#ifndef OFFBOARD_WORKER_TOKEN_H
#define OFFBOARD_WORKER_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/engine_internal.h"

/* What a fetch brought: a token, or why there is none. */
struct grant {
    char *text;          /* the token; NULL: none */
    int64_t life;        /* microseconds from when it was asked for */
    int status;          /* of the token endpoint; 0: no answer */
    bool refused;        /* our credentials, or whom we want to act for */
    bool unreached;      /* there was no connection to the token endpoint */
    bool aborted;        /* by us, as the worker stops */
    char *error;         /* masked; NULL with a token */
    int64_t retry_after; /* microseconds, -1: the endpoint says nothing */
};

/* Fills `grant` (empty before, retry_after -1), on the fiber of the job; everything in it becomes the cache's. */
typedef void token_fetch_fn(struct run *run, void *arg, struct grant *grant);

struct token_cache *token_cache_new(void);
void token_cache_free(struct token_cache *cache); /* nobody may hold a token; NULL is accepted */

/* The place of the tokens for `key`, held until token_release(). It may be empty. */
struct token *token_take(struct token_cache *cache, const char *key);
void token_release(struct token *token); /* NULL is accepted */

/* On a job's fiber: what was granted, borrowed until the next wait: the token that is kept while it is good, else what
 * `fetch` brings, or the fetch of another job that is under way. `*round` names the fetch. DONE, or why the run must rest. */
enum verdict token_get(struct run *run, struct token *token, token_fetch_fn *fetch, void *arg,
                       const struct grant **granted, uint64_t *round);

/* The token of that round was refused; a newer one stays. */
void token_discard(struct token *token, uint64_t round);

/* When a token with this life is renewed: a minute before its end, or a tenth of its life when that is shorter. */
int64_t token_renewal(int64_t life);

/* How many places are kept at most, besides those that are held. */
enum { TOKENS_MAX = 256 };

#endif
