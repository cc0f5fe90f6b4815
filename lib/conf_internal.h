/* Between the conf_*.c files. */
#ifndef OFFBOARD_LIB_CONF_INTERNAL_H
#define OFFBOARD_LIB_CONF_INTERNAL_H

#include <jansson.h>

#include "lib/conf.h"
#include "lib/mem.h"

struct conf {
    const char *process; /* "worker": files of others' values are not opened; NULL: all are */
    const char *systems; /* of a worker, "okta,jira"; NULL: worker.systems */
    json_t *files;       /* with `process`: key to [where, path] of the file that has its value */
    json_t *open_files;  /* paths of files with secrets that others on this machine may read or write */
    bool plain_secret;   /* the configuration's own file has a secret in it */
    json_t *values;      /* dotted key to text, or to an array of texts for a list */
    json_t *unread;      /* key to why its file could not be read; NULL: that is an error */
    json_t *environment; /* OFFBOARD_… as they were at start, for conf_restore_environment() */
    json_t *
        variables; /* OFFBOARD_SYSTEMS_… and …_SOURCES_… to text, …_FILE read: which key one means is known only when it is asked for */
};

/* conf_options.c */
extern const struct conf_option conf_table[];
extern const size_t conf_table_size;
const struct conf_option *conf_option_find(const char *key); /* NULL when there is none */

/* systems.<system>.<setting>, sources.<source>.<setting>, edge.tokens.<name>.<token|roles> */
bool conf_in_family(const char *key);

/* conf_value.c: one value from outside. `where` is "file:line" or a variable's name. All return -1 with an ERR_FATAL. */
int conf_set(struct conf *conf, const char *where, const char *key, const json_t *value, struct err *err);
int conf_set_from_file(struct conf *conf, const char *where, const char *key, const char *path, struct err *err);
char *conf_file_text(const char *where, const char *path,
                     struct err *err); /* a secret's file; the caller wipes and frees */

/* conf_file.c, conf_environment.c */
int conf_read_file(struct conf *conf, const char *path, struct err *err);
int conf_read_environment(struct conf *conf, struct err *err);
char *conf_variable(const char *key); /* OFFBOARD_SYSTEMS_JIRA_TOKEN; the caller frees */

/* conf_secret.c */
void conf_remember_secrets(const struct conf *conf);
bool conf_is_secret(const char *key);
bool conf_holds_secret(const char *key, const json_t *value); /* a text or a list */

/* conf_own.c */
int conf_read_own_files(struct conf *conf, struct err *err);            /* after the options are known */
bool conf_owns_variable(const struct conf *conf, const char *variable); /* OFFBOARD_SYSTEMS_… and …_SOURCES_… */
void conf_check_readers(struct conf *conf, const char *path);

#endif
