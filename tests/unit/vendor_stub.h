/* A vendor within the test's own loop: answers by a script, request by request, and says what did not come as
 * written. */
#ifndef OFFBOARD_TESTS_UNIT_VENDOR_STUB_H
#define OFFBOARD_TESTS_UNIT_VENDOR_STUB_H

#include <stddef.h>
#include <uv.h>

/* What may stand in place of a status. */
enum { STUB_HANG_UP = -1, STUB_SILENCE = -2 };

struct exchange {
    const char *request; /* "METHOD /target", byte for byte; with "\n" and a part of the body, where that matters */
    int status;
    const char *body;    /* NULL: none */
    const char *headers; /* "Name: value\r\n…"; NULL: none */
};

struct vendor_stub;

struct vendor_stub *vendor_stub_start(uv_loop_t *loop);
int vendor_stub_port(const struct vendor_stub *stub);

/* The exchanges to come, in this order; ended by one without a request; borrowed. */
void vendor_stub_script(struct vendor_stub *stub, const struct exchange *exchanges);

/* Instead of a script: every request gets this answer. */
void vendor_stub_always(struct vendor_stub *stub, int status, const char *body);

/* Instead of a script: `choose` says what each request gets; `line` is "METHOD /target". What it points to is borrowed until
 * the stub stops. */
void vendor_stub_choose(struct vendor_stub *stub,
                        struct exchange (*choose)(const char *line, const char *head, const char *body, void *arg),
                        void *arg);

/* Called after each request was read, before it is answered; `count` from 1. */
void vendor_stub_on_request(struct vendor_stub *stub, void (*seen)(size_t count, void *arg), void *arg);

const char *vendor_stub_last_head(const struct vendor_stub *stub); /* request line and headers of the latest request */
const char *vendor_stub_last_body(const struct vendor_stub *stub);
size_t vendor_stub_count(const struct vendor_stub *stub);        /* requests since the last script */
size_t vendor_stub_most_at_once(const struct vendor_stub *stub); /* requests unanswered at a time, over all */

/* NULL: everything came as written, and nothing is missing; else what is wrong. */
const char *vendor_stub_complaint(struct vendor_stub *stub);

/* Gone when the loop has run its close callbacks. */
void vendor_stub_stop(struct vendor_stub *stub);

#endif
