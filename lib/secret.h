/* Secrets the process knows. Whatever leaves it as text (logs, events, error messages) passes secret_mask(). */
#ifndef OFFBOARD_LIB_SECRET_H
#define OFFBOARD_LIB_SECRET_H

/* Remembers a copy of `value` until secret_forget(). Values under 6 bytes are not remembered: masking them would
 * garble ordinary words. What it looks like in base64 (within a longer text too: "user:" before a password), in a URL or form
 * and in JSON is masked as well. NULL is accepted. Thread-safe. */
void secret_remember(const char *value);

/* Ends one secret_remember() of the same value: it is masked no more when nobody else remembers it. NULL is accepted. */
void secret_forget(const char *value);

/* A copy of `text` with every remembered secret replaced by "***". The caller frees. NULL gives NULL. Thread-safe. */
char *secret_mask(const char *text);

/* Overwrites a text that held a secret, before it is freed. NULL is accepted. */
void secret_wipe(char *text);

/* Forgets all of them (tests, leak check at exit). */
void secret_forget_all(void);

#endif
