/* Configuration: one YAML file, one alphabetical table of options (lib/conf_options.c), documented in CONFIGURATION.md, which is
 * generated from the table.
 *
 * Keys are dotted ("clock.day"); nested maps in the file mean the same. Each option can also be given by the environment
 * (OFFBOARD_CLOCK_DAY wins over the file) and, for values that should not stand in a file, by `<key>_file: PATH`, whose
 * content without the last newline is the value. Unknown keys are errors that name file, line and the nearest right name.
 * Three families are open-ended: `systems.<system>.<setting>` (what a connector's `settings` declare, plus `mode`,
 * `expires` and `ca_file`), `sources.<source>.<setting>` (what a source's declare; a text or a list) and
 * `edge.tokens.<name>.{token,roles}`. A variable means the system or token whose name fits it ("-"
 * becomes "_"): OFFBOARD_SYSTEMS_JIRA_TOKEN, OFFBOARD_EDGE_TOKENS_HR_TOKEN; a token may be given by variables alone.
 */
#ifndef OFFBOARD_LIB_CONF_H
#define OFFBOARD_LIB_CONF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"

enum conf_type { CONF_STRING, CONF_INT, CONF_BOOL, CONF_DURATION, CONF_LIST };

struct conf_option {
    const char *key;
    enum conf_type type;
    const char *otherwise; /* default as it would stand in the file; NULL: none */
    const char *least;     /* of a number or duration, as it would stand in the file; NULL: 0 */
    bool secret;           /* remembered by secret_remember(), never shown */
    const char *processes; /* who reads it: "all", "producer worker", … */
    const char *help;      /* one sentence, for CONFIGURATION.md */
};

struct conf;

/* Reads `path` (NULL: environment and defaults only). Every secret value is remembered for masking. */
struct conf *conf_load(const char *path, struct err *err);

/* The same for one process, which opens the files (`<key>_file`) of its own values alone: `process` is a word of conf_option.processes; a
 * worker's are besides those of its systems ("okta,jira"; NULL: worker.systems) and of the sources it polls. Both texts are borrowed. */
struct conf *conf_load_for(const char *path, const char *process, const char *systems, struct err *err);

/* Files with secrets that anybody on this machine may read or write. */
void conf_each_open_file(const struct conf *conf, void (*each)(const char *path, void *arg), void *arg);

/* The file to load: the `given` one (-c), else $OFFBOARD_CONFIG; NULL: neither. Call it before conf_clear_environment(). */
const char *conf_path(const char *given);

/* Another installation's file, to be compared: nothing of this environment is in it, and a value whose file (`<key>_file`) can't be
 * read from here is left out; conf_unread() then says why (borrowed; NULL: it was read, or isn't given). */
struct conf *conf_load_other(const char *path, struct err *err);
const char *conf_unread(const struct conf *conf, const char *key);
void conf_free(struct conf *conf);

/* clearenv(3) but for PATH, TZ, LANG, proxies, certificates to trust (SSL_CERT_FILE, LDAPTLS_…), Kerberos, and what sanitizers need;
 * HOME leads nowhere: no expression and no library finds a secret there. Call once, before threads start, after conf_load(). */
void conf_clear_environment(void);

/* Gives a child process the OFFBOARD_… variables back (call between fork and exec). */
void conf_restore_environment(const struct conf *conf);

/* The environment of a program like this one: what conf_clear_environment() left, the OFFBOARD_… variables, and the configuration's
 * `path` (NULL: none). A NULL-ended list with room for one more; never freed. */
char **conf_environment(const struct conf *conf, const char *path);

/* Values of options in the table; an unknown key is a programming error and aborts. A string without value is NULL. */
const char *conf_string(const struct conf *conf, const char *key);
int64_t conf_int(const struct conf *conf, const char *key);
bool conf_bool(const struct conf *conf, const char *key);
int64_t conf_duration(const struct conf *conf, const char *key); /* microseconds */

/* Number of items of a list, and the i-th. */
size_t conf_list_size(const struct conf *conf, const char *key);
const char *conf_list_item(const struct conf *conf, const char *key, size_t i);

/* Open-ended families. `member` is what follows the second dot; NULL when not given. */
const char *conf_system_setting(const struct conf *conf, const char *system, const char *member);
/* Calls `each` for every <family>.<name>.<setting> of the file; `family` is "systems" or "sources". */
void conf_each_setting(const struct conf *conf, const char *family,
                       void (*each)(const char *name, const char *setting, void *arg), void *arg);

/* A text, or an array of texts when the file has a list; borrowed, NULL when not given. */
const json_t *conf_source_setting(const struct conf *conf, const char *source, const char *member);
const char *conf_token(const struct conf *conf, const char *name, const char *member);
bool conf_token_has_role(const struct conf *conf, const char *name, const char *role);

/* Calls `each` once for every name that stands in the family `prefix` ("systems", "edge.tokens"), in order; systems that
 * only variables speak of are not among them. */
void conf_each_name(const struct conf *conf, const char *prefix, void (*each)(const char *name, void *arg), void *arg);

/* Marks a setting as secret after the fact (a connector says which are), so that it is masked from then on. */
void conf_system_secret(const struct conf *conf, const char *system, const char *member);

/* The table, for the generator, the chart's test and `offboard --help`. */
const struct conf_option *conf_options(size_t *count);
void conf_document(struct buf *markdown); /* CONFIGURATION.md */

#endif
