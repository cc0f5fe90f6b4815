/* CONFIGURATION.md, from the table. */
#include <ctype.h>

#include "lib/conf_internal.h"

static void variable(struct buf *out, const char *key)
{
    buf_adds(out, "OFFBOARD_");
    for (; *key; key++) {
        char c = *key == '.' ? '_' : (char)toupper((unsigned char)*key);
        buf_add(out, &c, 1);
    }
}

static void row(struct buf *out, const struct conf_option *option)
{
    static const char *const types[] = {"text", "number", "true/false", "duration", "list"};
    buf_addf(out, "| `%s`%s | %s", option->key, option->secret ? " (secret)" : "", types[option->type]);
    if (option->least) {
        buf_addf(out, ", at least %s", option->least);
    }
    if (option->otherwise) {
        buf_addf(out, " | `%s`", option->otherwise);
    } else {
        buf_adds(out, " | none");
    }
    buf_addf(out, " | %s | `", option->processes);
    variable(out, option->key);
    buf_addf(out, "` | %s |\n", option->help);
}

void conf_document(struct buf *out)
{
    buf_adds(out, "# Configuration\n\n"
                  "One YAML file for all processes (`-c FILE`); each reads what concerns it. Keys are dotted, nested "
                  "maps mean the\n"
                  "same. Every option can also be given by an environment variable, which wins, and by `<key>_file: "
                  "PATH` (or the\n"
                  "variable with `_FILE`), whose content is the value: for secrets. Unknown keys are errors. Durations "
                  "are `90d`, `6h`,\n"
                  "`30s`, `500ms` or a sum such as `1d12h`. A list is a YAML sequence, one comma-separated text, or a "
                  "file with one\n"
                  "item a line (a line that begins with `#` is a comment).\n\n"
                  "This page is generated from `lib/conf_options.c` by `make CONFIGURATION.md`.\n\n"
                  "| option | type | default | read by | variable | meaning |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < conf_table_size; i++) {
        row(out, &conf_table[i]);
    }
    buf_adds(
        out,
        "\nThree families are open-ended:\n\n"
        "| option | meaning |\n|---|---|\n"
        "| `systems.<system>.<setting>` | What the connector's `settings` declare: address, credentials, dialect; "
        "besides, for all: "
        "`ca_file` (certificates to trust), `mode` (`dry_run` lets nothing be changed there), `expires` (a date: when "
        "the credential ends; metrics tell). "
        "Variable: "
        "`OFFBOARD_SYSTEMS_<SYSTEM>_<SETTING>`. `offboard check` tries them. |\n"
        "| `sources.<source>.<setting>` | What the source's `settings` declare: keys, who may ask, which runbook. A "
        "list "
        "is a YAML sequence or lines; of a key, all of the list are valid at once. Variable: "
        "`OFFBOARD_SOURCES_<SOURCE>_<SETTING>`. |\n"
        "| `edge.tokens.<name>.token`, `edge.tokens.<name>.roles` | Who may call the edge: a bearer token "
        "(secret) and its "
        "roles: `intake` (HR events), `signals` (what steps wait for; operators may say it, too), `operator` (all "
        "orders "
        "but three, and replays), `approve`, `undo` and `erase` (the order of that name alone), `reveal` (what is in "
        "escrow). The "
        "name appears as the actor. Variables: "
        "`OFFBOARD_EDGE_TOKENS_<NAME>_TOKEN`, `…_ROLES`. |\n\n"
        "In a variable's name `.` and `-` become `_`. Variables of Kubernetes' service links are passed over.\n"
        "The file itself is `-c FILE`, else the one that `OFFBOARD_CONFIG` names.\n"
        "A proxy is given as for curl: `https_proxy`, `http_proxy`, `no_proxy` in the environment. Of the rest of the "
        "environment\n"
        "a process keeps what names certificates and tickets: `SSL_CERT_FILE`, `SSL_CERT_DIR`, `OPENSSL_CONF`, "
        "`LDAPTLS_…`,\n"
        "`KRB5_CONFIG`, `KRB5CCNAME`, `KRB5_KTNAME`, `KRB5_CLIENT_KTNAME`.\n");
}
