/* Values in escrow: sealed and on record before the first change; without a key nothing is changed. */
/* links: tests/unit/engine_stand.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/escrow.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "tests/unit/engine_stand.h"
#include "tests/unit/keys.h"

static EVP_PKEY *keys;

static struct trial *run_trial(struct engine_stand *stand, const char *job, const struct exchange *script)
{
    struct trial *trial = trial_new(stand, "lock_kept", NULL, job);
    vendor_stub_script(stand->vendor, script);
    trial_start(trial);
    trial_finish(trial);
    assert_null(vendor_stub_complaint(stand->vendor));
    return trial;
}

static struct engine_stand *stand_with_key(void)
{
    char *pem = public_key_pem(keys);
    json_t *text = json_string(pem);
    char *quoted = json_text(text); /* on one line */
    char *options = mem_printf("escrow_key: %s", quoted);
    struct engine_stand *stand = engine_stand_new(options);
    free(options);
    free(quoted);
    json_decref(text);
    free(pem);
    return stand;
}

static char *opened(const struct trial *trial, const char *name)
{
    struct err err = ERR_INIT;
    char *pem = key_pem(keys);
    struct escrow_key *key = escrow_private_key(pem, &err);
    free(pem);
    assert_non_null(key);
    struct escrow_place place = {json_string_at(trial->job.message, "id"), "job-1", "lock", "u1", name};
    const json_t *sealed = json_object_get(json_object_get(trial->sealed, "u1"), name);
    assert_true(json_is_string(sealed));
    char *value = escrow_open(key, &place, json_string_value(sealed), &err);
    if (!value) {
        fail_msg("%s: %s", name, err_text(&err));
    }
    escrow_key_free(key);
    return value;
}

static const struct exchange device = {"GET /device", 200, "{\"of\": \"Ann's Mac\"}", NULL};

static void test_sealed_before_the_first_change(void **state)
{
    (void)state;
    const struct exchange script[] = {device, {"POST /lock", 200, NULL, NULL}, {"POST /tell", 200, NULL, NULL}, {0}};
    struct engine_stand *stand = stand_with_key();
    assert_null(engine_lacks(stand->engine, "vendor"));
    struct trial *trial = run_trial(stand, "{\"step\": \"lock\"}", script);
    assert_string_equal(trial->result.outcome, "succeeded");
    assert_int_equal(trial->images, 1); /* for both changes */
    assert_null(trial->image);
    char *of = opened(trial, "of"), *pin = opened(trial, "pin");
    assert_string_equal(of, "Ann's Mac");
    assert_int_equal(strlen(pin), 6);
    char *said = json_text(trial->result.context);
    assert_null(strstr(said, pin));
    trial_free(trial);

    /* A later attempt seals anew what it sends; the value is the same, the text isn't. */
    const struct exchange again[] = {device, {"POST /lock", 400, NULL, NULL}, {0}};
    trial = run_trial(
        stand, "{\"step\": \"lock\", \"attempt\": 2, \"state\": {\"accounts\": {\"u1\": {\"imaged\": true}}}}", again);
    assert_string_equal(trial->result.outcome, "failed");
    assert_int_equal(trial->images, 1);
    char *second = opened(trial, "pin");
    assert_string_equal(second, pin);
    trial_free(trial);
    free(second);
    free(said);
    free(of);
    free(pin);
    engine_stand_free(stand);
}

static void test_without_a_record_nothing_is_changed(void **state)
{
    (void)state;
    const struct exchange script[] = {device, {0}};
    struct engine_stand *stand = stand_with_key();
    struct trial *trial = trial_new(stand, "lock_kept", NULL, "{\"step\": \"lock\"}");
    trial->unrecorded = true;
    vendor_stub_script(stand->vendor, script);
    trial_start(trial);
    trial_finish(trial);
    assert_null(vendor_stub_complaint(stand->vendor));
    assert_string_equal(trial->result.outcome, "failed");
    assert_non_null(strstr(trial->result.message, "could not be put on record"));
    trial_free(trial);
    engine_stand_free(stand);
}

static void test_nothing_to_seal(void **state)
{
    (void)state;
    const struct exchange script[] = {{"GET /device", 200, "{\"of\": \"\"}", NULL}, {0}};
    struct engine_stand *stand = stand_with_key();
    struct trial *trial = run_trial(stand, "{\"step\": \"lock\"}", script);
    assert_string_equal(trial->result.outcome, "failed");
    assert_non_null(strstr(trial->result.message, "escrow.of: "));
    assert_int_equal(trial->images, 0);
    trial_free(trial);
    engine_stand_free(stand);
}

static void test_without_a_key(void **state)
{
    (void)state;
    const struct exchange script[] = {device, {0}};
    struct engine_stand *stand = engine_stand_new("");
    char *lack = engine_lacks(stand->engine, "vendor");
    assert_string_equal(lack, "lock_kept: blocked until worker.escrow_key_file is set");
    free(lack);
    struct trial *trial = run_trial(stand, NULL, script);
    assert_string_equal(trial->result.outcome, "blocked");
    assert_non_null(strstr(trial->result.message, "worker.escrow_key_file is not set"));
    assert_int_equal(trial->images, 0);
    trial_free(trial);
    engine_stand_free(stand);
}

static void test_a_dry_run_seals_nothing(void **state)
{
    (void)state;
    const struct exchange script[] = {device, {0}};
    struct engine_stand *stand = stand_with_key();
    struct trial *trial = trial_new(stand, "lock_kept", "{\"mode\": \"dry_run\"}", NULL);
    vendor_stub_script(stand->vendor, script);
    trial_start(trial);
    trial_finish(trial);
    assert_string_equal(trial->result.outcome, "succeeded");
    assert_int_equal(trial->images, 0);
    trial_free(trial);
    engine_stand_free(stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sealed_before_the_first_change),
        cmocka_unit_test(test_without_a_record_nothing_is_changed),
        cmocka_unit_test(test_nothing_to_seal),
        cmocka_unit_test(test_without_a_key),
        cmocka_unit_test(test_a_dry_run_seals_nothing),
    };
    keys = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(keys);
    return failed;
}
