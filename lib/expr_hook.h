/* Between expr_jq.c and libjq: what the prelude calls that is not jq's. libjq 1.6 takes no functions in C, but its `debug` hands a
 * value to the host, and its `input` asks the host for one. No expression can call either by itself. */
#ifndef OFFBOARD_LIB_EXPR_HOOK_H
#define OFFBOARD_LIB_EXPR_HOOK_H

#include <jq.h>

struct expr_hook {
    jv digest; /* what `input` gives next */
};

/* `debug` measures a value, and stops the program when it is too large (expr_limit.h). Of {"__digest": "sha256", "text": …} it
 * makes the digest, in hexadecimal digits, which `input` gives. */
void expr_hook_set(struct expr_hook *hook, jq_state *jq);
void expr_hook_release(struct expr_hook *hook);

#endif
