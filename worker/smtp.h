/* Mail by SMTP (RFC 5321). A call blocks its fiber, not the loop: libcurl connects, encrypts and logs in by its multi interface; the
 * mail itself is handed over here, because libcurl would wait for the last answer, and for that to QUIT, within one call
 * (smtp_done() and smtp_disconnect(), up to 8.14 at least). */
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
    const char *message;           /* lines end in CRLF; NULL: no mail, only log in */
};

/* Makes the call; on a fiber, as http_perform(). The status is SMTP's code, the body the text of that reply; `sent`: the
 * server had asked for the message. Nothing is sent twice, no connection kept. */
void smtp_perform(struct http *http, const struct smtp_call *call, struct flight **flight, struct http_answer *answer);

#endif
