/* The words by which vendors tell of the pages of a list: in an answer's body and in its headers. */
#ifndef OFFBOARD_WORKER_ENGINE_SIGNS_H
#define OFFBOARD_WORKER_ENGINE_SIGNS_H

#include "worker/engine_internal.h"

/* What an answer says. Of the texts each names the member that says it first; owned, NULL: none does. */
struct signs {
    char *more;   /* there are more (has_more: true) */
    char *named;  /* this is the next page, or its token */
    char *cursor; /* where to go on, or where this page begins */
    char *counts; /* the largest total, or number of pages */
    bool over;    /* there are none (has_more: false) */
    double total, pages, page;
    size_t longest; /* items of the longest list */
};

/* What the request's own `pages` reads says nothing here: the connector has decided what it means. Release with signs_release(). */
void signs_read(struct signs *signs, const struct run *run, const json_t *request);
void signs_release(struct signs *signs);

#endif
