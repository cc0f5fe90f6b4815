/* Secrets the process knows. Whatever leaves it as text (logs, events, error messages) passes secret_mask(). */
#ifndef OFFBOARD_LIB_SECRET_H
#define OFFBOARD_LIB_SECRET_H

/* Remembers a copy of `value` for the whole process until secret_forget(): what is configured, access tokens. Values under 6 bytes are
 * not remembered: masking them would garble ordinary words. What it looks like in base64 (within a longer text too: "user:"
 * before a password), in a URL or form and in JSON is masked as well. NULL is accepted. Thread-safe. */
void secret_remember(const char *value);

/* Ends one secret_remember() of the same value: it is masked no more when nobody else remembers it. NULL is accepted. */
void secret_forget(const char *value);

/* A copy of `text` with every remembered secret replaced by "***". The caller frees. NULL gives NULL. Thread-safe. */
char *secret_mask(const char *text);

/* ---- of one run ------------------------------------------------------------------------------------------------------ */

/* Secrets of one run: a passcode, a home address. They may be short, or look like what other people's texts are made of, so
 * they are masked in this run's texts only. Belongs to one thread. */
struct secret_set;

enum { SECRET_SET_MIN = 4 }; /* bytes of the shortest that is masked; below 6 only where it stands as a word */

struct secret_set *secret_set_new(void);
void secret_set_add(struct secret_set *set, const char *value); /* a copy, in the same forms; NULL is accepted */
void secret_set_free(struct secret_set *set);                   /* wiped; NULL is accepted */

/* As secret_mask(), with those of the set (NULL: none) besides the process's. */
char *secret_set_mask(const struct secret_set *set, const char *text);

/* The same for a value that later jobs work with, as an id: what only looks like a secret must stay as it is. One of 16 bytes or more
 * is masked anywhere, a shorter one where it stands as a word, one that is an ordinary word (letters, a capital in front)
 * nowhere. */
char *secret_set_mask_fact(const struct secret_set *set, const char *fact);

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* Overwrites a text that held a secret, before it is freed. NULL is accepted. */
void secret_wipe(char *text);

/* Forgets all of the process (tests, leak check at exit). */
void secret_forget_all(void);

#endif
