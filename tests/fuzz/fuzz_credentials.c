/* worker/credentials.h: keys as they stand in a configuration: a service account's file, the key of a signature. What is wrong is said by the
 * setting's name, never with what it holds. */
/* links: tests/fuzz/vendors.c */
#include "lib/secret.h"
#include "tests/fuzz/vendors.h"

static void load(const char *system, const char *setting, const char *text)
{
    struct err err = ERR_INIT;
    char *path = mem_printf("%s/credentials.yaml", fuzz_directory());
    json_t *all = json_pack("{s:[s], s:{s:{s:s, s:s}}}", "definitions.connectors",
                            "tests/golden/v1/definitions/connectors", "systems", system, setting, text,
                            strcmp(system, "google") == 0 ? "admin" : "url", "https://x.example");
    char *file = json_text(all);
    fuzz_write(path, file, strlen(file));
    struct conf *conf = all ? conf_load(path, NULL) : NULL;
    if (conf && vendors_load(system, conf, &err) != 0) {
        FUZZ_CHECK(err.class == ERR_FATAL && strstr(err_text(&err), system));
        FUZZ_CHECK(strlen(text) < 12 || !strstr(err_text(&err), text));
    }
    secret_forget_all();
    conf_free(conf);
    json_decref(all);
    err_release(&err);
    free(file);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_text(&input);
    load("google", "service_account", text);
    load("webhook", "secret", text);
    free(text);
    return 0;
}
