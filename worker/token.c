#include "worker/token.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/time.h"

struct token {
    struct token *next; /* the one taken less lately */
    char *key;
    int holders;
    struct grant grant; /* of the last fetch */
    int64_t renew_at;   /* monotonic; 0: no token to use */
    uint64_t round;     /* counts the fetches that ended */
    bool fetching;
    struct waiting_line line;
};

struct token_cache {
    struct token *first; /* the one taken last */
};

static void grant_release(struct grant *grant)
{
    secret_forget(grant->text);
    secret_wipe(grant->text);
    free(grant->text);
    free(grant->error);
    *grant = (struct grant){.retry_after = -1};
}

static void token_free(struct token *token)
{
    grant_release(&token->grant);
    free(token->key);
    free(token);
}

struct token_cache *token_cache_new(void)
{
    return MEM_NEW(struct token_cache);
}

void token_cache_free(struct token_cache *cache)
{
    while (cache && cache->first) {
        struct token *next = cache->first->next;
        token_free(cache->first);
        cache->first = next;
    }
    free(cache);
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

/* Every leaver whom a service account acts for has one: those not used for longest go. */
static void drop_oldest(struct token_cache *cache)
{
    size_t count = 0;
    struct token **at = &cache->first;
    while (*at) {
        struct token *token = *at;
        if (++count > TOKENS_MAX && token->holders == 0) {
            *at = token->next;
            token_free(token);
        } else {
            at = &token->next;
        }
    }
}

struct token *token_take(struct token_cache *cache, const char *key)
{
    struct token **at = &cache->first;
    while (*at && strcmp((*at)->key, key) != 0) {
        at = &(*at)->next;
    }
    struct token *token = *at;
    if (token) {
        *at = token->next;
    } else {
        token = MEM_NEW(struct token);
        token->key = mem_strdup(key);
    }
    token->next = cache->first;
    cache->first = token;
    token->holders++;
    drop_oldest(cache);
    return token;
}

void token_release(struct token *token)
{
    if (token) {
        token->holders--;
    }
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

int64_t token_renewal(int64_t life)
{
    int64_t before = life / 10 < TIME_MINUTE ? life / 10 : TIME_MINUTE;
    return life - before;
}

static bool good(const struct token *token)
{
    return token->grant.text && time_monotonic() < token->renew_at;
}

/* Nobody learns anything from a fetch that we broke off: whoever waits begins one. */
static void fetch_now(struct run *run, struct token *token, token_fetch_fn *fetch, void *arg)
{
    int64_t asked_at = time_monotonic();
    struct grant grant = {.retry_after = -1};
    token->fetching = true;
    fetch(run, arg, &grant);
    token->fetching = false;
    secret_remember(grant.text);
    grant_release(&token->grant);
    token->grant = grant;
    token->renew_at = asked_at + token_renewal(grant.life);
    token->round += !grant.aborted;
    line_wake_all(&token->line);
}

static enum verdict await_fetch(struct run *run, struct token *token)
{
    struct waiting self = {0};
    enum verdict verdict = run_interrupted(run);
    line_join(&token->line, &self);
    while (verdict == VERDICT_DONE && token->fetching) {
        run_sleep(run, -1, &self.sleeper);
        verdict = run_interrupted(run);
    }
    line_leave(&token->line, &self);
    return verdict;
}

enum verdict token_get(struct run *run, struct token *token, token_fetch_fn *fetch, void *arg,
                       const struct grant **granted, uint64_t *round)
{
    uint64_t before = token->round;
    while (!good(token) && token->round == before) {
        if (!token->fetching) {
            fetch_now(run, token, fetch, arg);
            break;
        }
        enum verdict verdict = await_fetch(run, token);
        if (verdict != VERDICT_DONE) {
            return verdict;
        }
    }
    *granted = &token->grant;
    *round = token->round;
    return VERDICT_DONE;
}

void token_discard(struct token *token, uint64_t round)
{
    if (token->round == round) {
        token->renew_at = 0;
    }
}
