#include "tests/fuzz/shipped.h"

#include "tests/fuzz/fuzz.h"

static const char text[] = "guards: {protected: [root@example.com], cap_per_hour: 3}\n"
                           "edge.tokens:\n"
                           "  hr: {token: token-of-hr, roles: [intake, signals]}\n"
                           "  desk: {token: token-of-desk, roles: [operator]}\n"
                           "sources:\n"
                           "  aftership: {webhook_secret: secret-of-aftership}\n"
                           "  bamboohr: {private_key: secret-of-bamboohr}\n"
                           "  cloudevents: {signing_secret: whsec_c2VjcmV0LW9mLWV2ZW50cw==}\n"
                           "  okta-hook: {token: secret-of-okta, own_accounts: [own]}\n"
                           "  slack-commands: {signing_secret: secret-of-slack, people: [T1/U1]}\n";

const struct conf *fuzz_conf(void)
{
    static struct conf *conf;
    if (!conf) {
        struct err err = ERR_INIT;
        char *path = mem_printf("%s/offboard.yaml", fuzz_directory());
        fuzz_write(path, text, strlen(text));
        conf = conf_load(path, &err);
        fprintf(stderr, "%s", conf ? "" : err_text(&err));
        FUZZ_CHECK(conf);
        free(path);
    }
    return conf;
}

struct definitions *fuzz_definitions(void)
{
    static struct definitions *definitions;
    if (!definitions) {
        struct err err = ERR_INIT;
        definitions = definitions_load_or_fail(fuzz_conf(), &(struct definition_use){.sources = true}, &err);
        fprintf(stderr, "%s", definitions ? "" : err_text(&err));
        FUZZ_CHECK(definitions);
    }
    return definitions;
}
