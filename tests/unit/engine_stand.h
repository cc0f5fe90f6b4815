/* An engine with one system, "vendor", before a vendor_stub: all in the test's process and loop. */
#ifndef OFFBOARD_TESTS_UNIT_ENGINE_STAND_H
#define OFFBOARD_TESTS_UNIT_ENGINE_STAND_H

#include "tests/unit/vendor_stub.h"
#include "worker/worker.h"

struct engine_stand {
    uv_loop_t loop;
    struct vendor_stub *vendor;
    char *directory;
    struct conf *conf;
    struct definitions *definitions;
    struct engine *engine;
};

/* `options` is what stands in the configuration's `worker:` map; "": a circuit that opens late, and short waits. The
 * secret setting `token` is ENGINE_STAND_TOKEN. */
#define ENGINE_STAND_TOKEN "s3cret-of-the-vendor"
struct engine_stand *engine_stand_new(const char *options);

/* The same with a connector of its own, and `settings` in `systems: {vendor: {url: …, HERE}}`. */
struct engine_stand *engine_stand_with(const char *connector, const char *settings, const char *options);

/* Why no engine is made of those; NULL: one is. The caller frees. */
char *engine_stand_refusal(const char *connector, const char *settings);

void engine_stand_free(struct engine_stand *stand); /* fails the test when a fiber or a handle is left */

/* A job of the stand, running or ended. */
struct trial {
    struct job job;
    struct engine_stand *stand;
    struct engine_result result;
    bool waits; /* the loop runs for it to end */
    bool ended;
    bool lost; /* begin() answers that the partition is lost */
    int begins;
    json_t *image;   /* the last one before() was given */
    json_t *sealed;  /* with it */
    int images;      /* how often */
    bool unrecorded; /* before() answers that it could not be kept */
    int held;        /* how often it began to wait with its clock stopped */
    bool holds;
};

/* `offboarding` and `job` are JSON that is laid over a plain one (NULL: nothing). */
struct trial *trial_new(struct engine_stand *stand, const char *action, const char *offboarding, const char *job);
void trial_start(struct trial *trial);
void trial_finish(struct trial *trial); /* lets the loop run until it has ended */
void trial_free(struct trial *trial);

enum { EXCHANGES_MAX = 10, FACTS_MAX = 4 };

/* One job: what it is, what is exchanged, what becomes of it. */
struct engine_row {
    const char *title;
    const char *action;
    const char *offboarding; /* JSON laid over the plain one */
    const char *job;
    struct exchange exchanges[EXCHANGES_MAX];
    const char *outcome;
    const char *said; /* part of the message */
    /* Path in the result's context, and its value as JSON. */
    struct {
        const char *path;
        const char *value;
    } facts[FACTS_MAX];
    int due_after; /* seconds until due_at, at least; 0: not looked at */
    int due_before;
    int begins;
};

/* Runs that job; fails the test unless all came as the row says. */
void engine_stand_check(struct engine_stand *stand, const struct engine_row *row);

#endif
