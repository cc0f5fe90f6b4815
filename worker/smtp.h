/* Mail by SMTP (RFC 5321): libcurl on libuv's thread pool; a call blocks its fiber, not the loop. libcurl's multi interface
 * would: it waits for the answer to a mail, and to QUIT, within one call (7.88, smtp_done()). */
#ifndef OFFBOARD_WORKER_SMTP_H
#define OFFBOARD_WORKER_SMTP_H

#include "worker/http.h"

/* One mail; everything is borrowed until smtp_perform() returns. */
struct smtp_call {
    const char *url;  /* smtp: or smtps: */
    const char *user; /* NULL: no log-in */
    const char *password;
    const char *ca_file;           /* NULL: the system's */
    int64_t timeout;               /* microseconds */
    bool tls;                      /* smtp: insist on STARTTLS */
    const char *from;              /* bare addresses */
    struct curl_slist *recipients; /* one that is refused refuses the mail */
    const char *message;           /* NULL: no mail, only log in */
};

/* Makes the call; on a fiber, as http_perform(). The status is SMTP's code, the body the text of that reply; `sent`: the
 * server had asked for the message. Nothing is sent twice, no connection kept. http_abort() takes up to a second. */
void smtp_perform(uv_loop_t *loop, const struct smtp_call *call, struct flight **flight, struct http_answer *answer);

#endif
