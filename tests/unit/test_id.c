/* Identifiers: the same bytes give the same id, today and in the next version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/id.h"
#include "lib/time.h"

static void test_v5_is_the_rfcs(void **state)
{
    (void)state;
    char id[ID_SIZE];
    /* RFC 9562, A.4: namespace DNS, "www.example.com" */
    assert_int_equal(id_v5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com", 15, id), 0);
    assert_string_equal(id, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    assert_int_equal(id_v5("no uuid", "x", 1, id), -1);
    assert_string_equal(id, "2ed6657d-e927-568b-95e1-2665a8aea6a2"); /* written only on success */
}

/* Worked out by another implementation (Python's uuid module): these never change. */
static void test_the_contracts_ids(void **state)
{
    (void)state;
    char offboarding[ID_SIZE], other[ID_SIZE], id[ID_SIZE];
    id_offboarding("/hr/workday", "evt-1", offboarding);
    assert_string_equal(offboarding, "4b9ec865-34bf-55ff-ad37-39a6c1cf052c");
    assert_int_equal(id_job(offboarding, "initial", "okta", id), 0);
    assert_string_equal(id, "b1feace9-ea83-5c96-a604-01d5265404b8");
    assert_int_equal(id_initiated(offboarding, id), 0);
    assert_string_equal(id, "b76356e0-5c18-57db-9e93-8f44cd94146d");
    id_intake("/hr/workday", "evt-1", "offboard.intake/3/42", id);
    assert_string_equal(id, "1b4c0286-fd4f-5a5c-83a4-c366a634d5dd");
    id_offboarding("/hr/workda", "y\nevt-1", other); /* the byte between keeps the two apart */
    assert_string_not_equal(other, offboarding);
    assert_int_equal(id_job("no uuid", "initial", "okta", id), -1);
    assert_int_equal(id_initiated("no uuid", id), -1);
}

static void test_v7(void **state)
{
    (void)state;
    char first[ID_SIZE], second[ID_SIZE];
    int64_t before = time_now() / 1000;
    id_v7(first);
    id_v7(second);
    int64_t after = time_now() / 1000;
    assert_string_not_equal(first, second);
    assert_true(id_valid(first));
    assert_int_equal(first[14], '7');           /* version */
    assert_non_null(strchr("89ab", first[19])); /* variant */
    char hex[13];
    memcpy(hex, first, 8);
    memcpy(hex + 8, first + 9, 4);
    hex[12] = '\0';
    int64_t ms = strtoll(hex, NULL, 16);
    assert_in_range(ms, before, after);
    for (const char *c = first; *c; c++) {
        assert_false(*c >= 'A' && *c <= 'Z');
    }
}

static void test_valid(void **state)
{
    (void)state;
    char lower[ID_SIZE];
    assert_int_equal(id_parse("7D3C2B1E-0c55-5B0E-9a44-6F66626F6172", lower), 0);
    assert_string_equal(lower, "7d3c2b1e-0c55-5b0e-9a44-6f66626f6172");
    assert_int_equal(id_parse("7d3c2b1e-0c55-5b0e-9a44", lower), -1);
    assert_int_equal(id_parse(NULL, lower), -1);
    assert_true(id_valid("7d3c2b1e-0c55-5b0e-9a44-6f66626f6172"));
    assert_false(id_valid(NULL));
    assert_false(id_valid(""));
    assert_false(id_valid("7d3c2b1e-0c55-5b0e-9a44-6f66626f617"));
    assert_false(id_valid("7d3c2b1e-0c55-5b0e-9a44-6f66626f6172 "));
    assert_false(id_valid("7d3c2b1e-0c55-5b0e-9a44-6f66626f617g"));
    assert_false(id_valid("7d3c2b1e00c5505b0e09a4406f66626f6172"));
}

static void test_sha256(void **state)
{
    (void)state;
    char hex[ID_SHA256_HEX_SIZE];
    id_sha256_hex("abc", 3, hex); /* FIPS 180-2, B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    id_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v5_is_the_rfcs),
        cmocka_unit_test(test_the_contracts_ids),
        cmocka_unit_test(test_v7),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
