/* lib/conf.h: the configuration, from its file and from the environment. A configuration that is taken answers for every option. Lines
 * that begin with OFFBOARD_ are variables; the rest is the file. */
#include "lib/buf.h"
#include "lib/conf.h"
#include "lib/secret.h"
#include "tests/fuzz/fuzz.h"

static void look_up(const char *name, const char *setting, void *arg)
{
    FUZZ_CHECK(name && setting);
    const struct conf *conf = arg;
    conf_system_setting(conf, name, setting);
    conf_source_setting(conf, name, setting);
}

static void look_up_token(const char *name, void *arg)
{
    const struct conf *conf = arg;
    conf_token(conf, name, "token");
    conf_token_has_role(conf, name, "operator");
}

static void check_values(struct conf *conf)
{
    size_t count;
    const struct conf_option *options = conf_options(&count);
    for (size_t i = 0; i < count; i++) {
        const char *key = options[i].key;
        switch (options[i].type) {
        case CONF_INT:
            FUZZ_CHECK(conf_int(conf, key) >= 0);
            break;
        case CONF_DURATION:
            FUZZ_CHECK(conf_duration(conf, key) >= 0);
            break;
        case CONF_LIST:
            for (size_t item = 0; item < conf_list_size(conf, key); item++) {
                FUZZ_CHECK(conf_list_item(conf, key, item));
            }
            break;
        default:
            conf_string(conf, key);
            conf_bool(conf, key);
        }
        const char *secret = options[i].secret && options[i].type == CONF_STRING ? conf_string(conf, key) : NULL;
        char *masked = secret_mask(secret);
        FUZZ_CHECK(!secret || strlen(secret) < 6 || strchr(secret, '*') || !strstr(masked, secret));
        free(masked);
    }
    conf_each_setting(conf, "systems", look_up, conf);
    conf_each_setting(conf, "sources", look_up, conf);
    conf_each_name(conf, "edge.tokens", look_up_token, conf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct err err = ERR_INIT;
    struct buf file = BUF_INIT;
    char *path = mem_printf("%s/offboard.yaml", fuzz_directory());
    clearenv();
    while (input.left) {
        char *line = fuzz_line(&input);
        char *equals = strchr(line, '=');
        if (strncmp(line, "OFFBOARD_", strlen("OFFBOARD_")) == 0 && equals) {
            *equals = '\0';
            setenv(line, equals + 1, 1);
        } else {
            buf_addf(&file, "%s\n", line);
        }
        free(line);
    }
    fuzz_write(path, buf_text(&file), file.len);
    struct conf *conf = conf_load(path, &err);
    FUZZ_CHECK(conf || err.class == ERR_FATAL);
    if (conf) {
        check_values(conf);
    }
    conf_free(conf);
    conf_free(conf_load_other(path, NULL));
    secret_forget_all();
    err_release(&err);
    buf_release(&file);
    free(path);
    return 0;
}
