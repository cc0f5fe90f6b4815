/* SMTP (RFC 5321) by libcurl: what sets a call with a mail apart from one to an HTTP server. Used by http.c. */
#ifndef OFFBOARD_WORKER_SMTP_H
#define OFFBOARD_WORKER_SMTP_H

#include "worker/http.h"

/* One dialogue with a server; zeroed at first. */
struct smtp {
    CURL *easy;
    const char *unsent; /* what curl has not taken of the message */
    struct buf reply;   /* text of the latest reply */
    int code;           /* its code */
    bool continued;     /* it has more lines */
    bool asked;         /* the server has asked for the message: from here on it may be delivered */
};

/* `smtp` and what `call` borrows stay until the transfer has ended. */
void smtp_set_up(CURL *easy, const struct http_call *call, struct smtp *smtp);

/* Status and text of the server's last word, when it is one about the mail; else `answer` stays without a status. */
void smtp_take(struct smtp *smtp, CURLcode code, struct http_answer *answer);
void smtp_release(struct smtp *smtp);

#endif
