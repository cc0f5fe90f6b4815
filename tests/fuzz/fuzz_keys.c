/* lib/jwt.h, lib/escrow.h: keys in PEM, and sealed texts that come back from Kafka. What is sealed opens for its own place alone; what
 * was not sealed with the key never opens. The input is PEM, or a sealed text without its version. */
#include "lib/escrow.h"
#include "lib/jwt.h"
#include "tests/fuzz/fuzz.h"

static const char private_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VuBCIEIFjFYdJqsBzmvLm5XJIHTfpMvUZFbL5G9zTVNnwPPGRJ\n"
                                  "-----END PRIVATE KEY-----\n";
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MCowBQYDK2VuAyEAN8F9d/TsSEVRnctJ6jbEdnD3EzDlgd4vgKAkBQVBuFA=\n"
                                 "-----END PUBLIC KEY-----\n";
static const struct escrow_place place = {"5f102b3d-cd48-5792-8cab-975d70c6bb02", "job", "lock", "", "pin"};

static void check_sealing(const char *text)
{
    static struct escrow_key *private, *public;
    private = private ? private : escrow_private_key(private_pem, NULL);
    public = public ? public : escrow_public_key(public_pem, NULL);
    FUZZ_CHECK(private && public);
    struct err err = ERR_INIT;
    char *claimed = mem_printf("offboard-escrow-1:%s", text);
    char *never = escrow_open(private, &place, claimed, &err);
    FUZZ_CHECK(!never && err.class == ERR_PERMANENT);
    err_release(&err);
    char *sealed = escrow_seal(public, &place, text, &err);
    FUZZ_CHECK(sealed || !*text || strlen(text) > 4096);
    if (sealed) {
        struct escrow_place other = place;
        other.name = text;
        char *opened = escrow_open(private, &place, sealed, NULL);
        char *elsewhere = escrow_open(private, &other, sealed, NULL);
        FUZZ_CHECK(opened && strcmp(opened, text) == 0);
        FUZZ_CHECK(!elsewhere || strcmp(text, place.name) == 0);
        free(opened);
        free(elsewhere);
    }
    err_release(&err);
    free(sealed);
    free(claimed);
}

static void check_token(const char *pem)
{
    struct err err = ERR_INIT;
    struct jwt_key *key = jwt_key_read(pem, &err);
    FUZZ_CHECK(key || err.class == ERR_PERMANENT);
    if (key) {
        json_t *claims = json_pack("{s:s}", "iss", "me");
        char *token = jwt_sign(key, pem, claims, &err);
        FUZZ_CHECK(!token ||
                   strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(token));
        free(token);
        json_decref(claims);
    }
    err_release(&err);
    jwt_key_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_text(&input);
    if (strstr(text, "-----BEGIN")) {
        check_token(text);
        escrow_key_free(escrow_public_key(text, NULL));
        escrow_key_free(escrow_private_key(text, NULL));
    } else {
        check_sealing(text);
    }
    free(text);
    return 0;
}
