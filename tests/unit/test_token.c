/* The places of tokens: how many are kept, and for how long what is in them is masked. */
/* links: worker/report.c worker/report_phase.c */
/* links: worker/token.c worker/engine_wait.c worker/engine_defer.c worker/engine_context.c worker/fiber.c worker/retry.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "lib/secret.h"
#include "lib/time.h"
#include "worker/token.h"

struct fetcher {
    const char *key;
    int fetched;
};

static void fetch(struct run *run, void *arg, struct grant *grant)
{
    struct fetcher *fetcher = arg;
    (void)run;
    fetcher->fetched++;
    grant->text = mem_printf("token-for-%s", fetcher->key);
    grant->life = TIME_HOUR;
}

/* The token for `key`, taken; `*fetched` counts. */
static struct token *taken(struct token_cache *cache, const char *key, int *fetched)
{
    struct job job = {.interruption = INTERRUPT_NONE};
    struct run run = {.job = &job};
    struct fetcher fetcher = {.key = key};
    const struct grant *grant;
    uint64_t round;
    struct token *token = token_take(cache, key);
    assert_int_equal(token_get(&run, token, fetch, &fetcher, &grant, &round), VERDICT_DONE);
    char *expected = mem_printf("token-for-%s", key);
    assert_string_equal(grant->text, expected);
    free(expected);
    *fetched += fetcher.fetched;
    return token;
}

static bool masked(const char *token)
{
    char *text = secret_mask(token);
    bool different = strcmp(text, token) != 0;
    free(text);
    return different;
}

/* Those that nobody holds and nobody has asked for lately make room. */
static void test_oldest_go(void **state)
{
    (void)state;
    struct token_cache *cache = token_cache_new();
    int fetched = 0;
    struct token *held = taken(cache, "held", &fetched);
    token_release(taken(cache, "idle", &fetched));
    token_release(taken(cache, "used", &fetched));
    assert_true(masked("token-for-held") && masked("token-for-idle") && masked("token-for-used"));
    for (int i = 0; i < TOKENS_MAX; i++) {
        char *key = mem_printf("person-%d", i);
        token_release(taken(cache, key, &fetched));
        token_release(taken(cache, "used", &fetched));
        free(key);
    }
    assert_int_equal(fetched, 3 + TOKENS_MAX);
    assert_false(masked("token-for-idle"));
    assert_true(masked("token-for-held") && masked("token-for-used"));
    token_release(held);
    fetched = 0;
    token_release(taken(cache, "used", &fetched));
    assert_int_equal(fetched, 0);
    token_release(taken(cache, "idle", &fetched));
    assert_int_equal(fetched, 1);
    assert_false(masked("token-for-held")); /* released, and the oldest */
    token_cache_free(cache);
    assert_false(masked("token-for-used"));
    secret_forget_all();
}

/* A refused token goes, a newer one stays. */
static void test_discard(void **state)
{
    (void)state;
    struct token_cache *cache = token_cache_new();
    struct job job = {.interruption = INTERRUPT_NONE};
    struct run run = {.job = &job};
    struct fetcher fetcher = {.key = "it"};
    const struct grant *grant;
    uint64_t first, round;
    struct token *token = token_take(cache, "it");
    token_get(&run, token, fetch, &fetcher, &grant, &first);
    token_discard(token, first);
    token_get(&run, token, fetch, &fetcher, &grant, &round);
    assert_int_equal(fetcher.fetched, 2);
    assert_true(round != first);
    token_discard(token, first);
    token_get(&run, token, fetch, &fetcher, &grant, &round);
    assert_int_equal(fetcher.fetched, 2);
    token_release(token);
    token_cache_free(cache);
    secret_forget_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oldest_go),
        cmocka_unit_test(test_discard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
