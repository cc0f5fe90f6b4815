/* Sealed values: what opens them, and what doesn't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/escrow.h"
#include "lib/mem.h"
#include "tests/unit/keys.h"

static const struct escrow_place place = {"5f0d2a4c-0000-4000-8000-000000000001",
                                          "5f0d2a4c-0000-4000-8000-000000000002", "lock", "", "pin"};

struct pair {
    struct escrow_key *public;
    struct escrow_key *private;
};

static char *private_pem(void)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    char *private = key_pem(pkey);
    EVP_PKEY_free(pkey);
    return private;
}

static struct pair pair_new(void)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    char *public = public_key_pem(pkey), *private = key_pem(pkey);
    struct err err = ERR_INIT;
    struct pair pair = {escrow_public_key(public, &err), escrow_private_key(private, &err)};
    assert_non_null(pair.public);
    assert_non_null(pair.private);
    free(public);
    free(private);
    EVP_PKEY_free(pkey);
    return pair;
}

static void pair_free(struct pair pair)
{
    escrow_key_free(pair.public);
    escrow_key_free(pair.private);
}

static void assert_opens(struct pair pair, const char *sealed, const char *value)
{
    struct err err = ERR_INIT;
    char *opened = escrow_open(pair.private, &place, sealed, &err);
    assert_non_null(opened);
    assert_string_equal(opened, value);
    free(opened);
}

static void assert_stays_shut(const struct escrow_key *key, const struct escrow_place *where, const char *sealed,
                              const char *why)
{
    struct err err = ERR_INIT;
    assert_null(escrow_open(key, where, sealed, &err));
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_string_equal(err_text(&err), why);
    err_release(&err);
}

static const char other[] = "it was sealed for another job or with another key, or it was altered";
static const char none[] = "it is no sealed value";

static void test_round_trip(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    static const char *const values[] = {"1", "123456", "pässwörd \"of\" a longer kind",
                                         "0123456789012345678901234567890"};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct err err = ERR_INIT;
        char *first = escrow_seal(pair.public, &place, values[i], &err);
        char *second = escrow_seal(pair.public, &place, values[i], &err);
        assert_non_null(first);
        assert_null(i ? strstr(first, values[i]) : NULL);
        assert_string_not_equal(first, second); /* nobody sees that two values are the same */
        assert_opens(pair, first, values[i]);
        assert_opens(pair, second, values[i]);
        free(first);
        free(second);
    }
    pair_free(pair);
}

static void test_it_belongs_to_one_place(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    struct err err = ERR_INIT;
    char *sealed = escrow_seal(pair.public, &place, "123456", &err);
    for (size_t i = 0; i < sizeof place / sizeof(const char *); i++) {
        struct escrow_place elsewhere = place;
        const char *member = "5f0d2a4c-0000-4000-8000-000000000009";
        memcpy((char *)&elsewhere + i * sizeof member, &member, sizeof member);
        assert_stays_shut(pair.private, &elsewhere, sealed, other);
    }
    /* Neither by moving a boundary between two members. */
    struct escrow_place shifted = place;
    shifted.step = "lock\",\"";
    assert_stays_shut(pair.private, &shifted, sealed, other);
    free(sealed);
    pair_free(pair);
}

static void test_another_key(void **state)
{
    (void)state;
    struct pair pair = pair_new(), stranger = pair_new();
    struct err err = ERR_INIT;
    char *sealed = escrow_seal(pair.public, &place, "123456", &err);
    assert_stays_shut(stranger.private, &place, sealed, other);
    assert_stays_shut(pair.public, &place, sealed, other); /* the half that sealed it */
    assert_opens(pair, sealed, "123456");
    free(sealed);
    pair_free(pair);
    pair_free(stranger);
}

/* After a rotation: the new key seals, the old one still opens what was sealed for it. */
static void test_several_keys(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char *new = private_pem(), *older = private_pem(), *oldest = private_pem();
    char *all = mem_printf("%s\n%s# kept until the last laptop is back\n%s", new, older, oldest);
    struct escrow_key *keys = escrow_private_key(all, &err);
    assert_non_null(keys);
    const char *const each[] = {new, older, oldest};
    for (size_t i = 0; i < COUNT_OF(each); i++) {
        struct escrow_key *one = escrow_private_key(each[i], &err);
        char *sealed = escrow_seal(one, &place, "123456", &err); /* the public half is in the private one */
        assert_non_null(sealed);
        char *opened = escrow_open(keys, &place, sealed, &err);
        assert_non_null(opened);
        assert_string_equal(opened, "123456");
        free(opened);
        free(sealed);
        escrow_key_free(one);
    }
    escrow_key_free(keys);
    /* One that is none spoils them all: nobody should believe that it opens something. */
    char *spoilt = mem_printf("%s-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", new);
    assert_null(escrow_private_key(spoilt, &err));
    assert_int_equal(err.class, ERR_PERMANENT);
    err_release(&err);
    free(spoilt);
    free(all);
    free(new);
    free(older);
    free(oldest);
}

static void test_truncated_and_altered(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    struct err err = ERR_INIT;
    char *sealed = escrow_seal(pair.public, &place, "123456", &err);
    size_t len = strlen(sealed), head = strlen("offboard-escrow-1:");
    for (size_t cut = 0; cut < len; cut++) {
        char *part = mem_strndup(sealed, cut);
        assert_null(escrow_open(pair.private, &place, part, NULL));
        free(part);
    }
    for (size_t i = head; i < len - 4; i++) { /* the last ones hold bits that mean nothing */
        char *changed = mem_strdup(sealed);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_null(escrow_open(pair.private, &place, changed, NULL));
        free(changed);
    }
    free(sealed);
    static const char *const texts[] = {"",
                                        "123456",
                                        "offboard-escrow-1:",
                                        "offboard-escrow-1:====",
                                        "offboard-escrow-2:AAAA",
                                        "offboard-escrow-1:AA\tA"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_stays_shut(pair.private, &place, texts[i], none);
    }
    pair_free(pair);
}

static void test_values_that_are_none(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    struct err err = ERR_INIT;
    assert_null(escrow_seal(pair.public, &place, "", &err));
    assert_string_equal(err_text(&err), "a value of 1 to 4096 bytes can be sealed, this one has 0");
    err_release(&err);
    char *large = mem_alloc(4098);
    memset(large, 'x', 4097);
    large[4097] = '\0';
    assert_null(escrow_seal(pair.public, &place, large, NULL));
    large[4096] = '\0';
    char *sealed = escrow_seal(pair.public, &place, large, &err);
    assert_opens(pair, sealed, large);
    free(sealed);
    free(large);
    pair_free(pair);
}

static void test_keys_that_are_none(void **state)
{
    (void)state;
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *good = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    char *texts[] = {mem_strdup("hunter22"), public_key_pem(rsa), key_pem(rsa), key_pem_locked(good, "passphrase")};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct err err = ERR_INIT;
        assert_null(escrow_public_key(texts[i], &err));
        assert_string_equal(err_text(&err),
                            i == 1 ? "it is no X25519 key" : "it is no public key in PEM without a passphrase");
        assert_null(escrow_private_key(texts[i], &err));
        assert_string_equal(err_text(&err),
                            i == 2 ? "it is no X25519 key" : "it is no private key in PEM without a passphrase");
        err_release(&err);
        free(texts[i]);
    }
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),         cmocka_unit_test(test_it_belongs_to_one_place),
        cmocka_unit_test(test_another_key),        cmocka_unit_test(test_truncated_and_altered),
        cmocka_unit_test(test_several_keys),       cmocka_unit_test(test_values_that_are_none),
        cmocka_unit_test(test_keys_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
