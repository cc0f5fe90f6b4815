/* Errors: a class that says what the caller can do, and a text that says "could not X: why".
 *
 * Fallible functions take a trailing `struct err *err` (NULL: not interested) and return 0 or -1, or a pointer or
 * NULL. Out-parameters are written only on success. Libraries neither log nor exit; they fill an err.
 */
#ifndef OFFBOARD_LIB_ERR_H
#define OFFBOARD_LIB_ERR_H

enum err_class {
    ERR_NONE = 0,
    ERR_RETRY,     /* the same call may succeed later (network, broker, database away) */
    ERR_PERMANENT, /* it will fail again with this input (bad message, bad definition, refused) */
    ERR_FATAL,     /* the process can't go on (configuration, fenced, corrupted state) */
};

struct err {
    enum err_class class;
    char *text; /* owned; NULL while class is ERR_NONE */
};

#define ERR_INIT                                                                                                       \
    {                                                                                                                  \
        ERR_NONE, NULL                                                                                                 \
    }

/* Replaces what `err` held. Returns -1, so that `return err_set(…)` reads well. */
int err_set(struct err *err, enum err_class class, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<prefix>: " before the text already there. Returns -1. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text, "no error" when there is none; valid until the err changes. */
const char *err_text(const struct err *err);

/* Frees the text and makes `err` ERR_INIT again. NULL is accepted. */
void err_release(struct err *err);

#endif
