/* Comparisons with < and > in a connector's predicates. jq compares whatever it is given: null is less than any number, and of two
 * texts "10" is less than "9". What such a comparison yields says nothing about the vendor's list. */
#ifndef OFFBOARD_WORKER_ENGINE_COMPARE_H
#define OFFBOARD_WORKER_ENGINE_COMPARE_H

#include "worker/engine_internal.h"

/* What a predicate that compares reads of the context. All false for one that does not compare, or that says with `//` what an absent
 * value counts as. */
struct comparison {
    bool absent; /* something that is not there */
    bool null;   /* something that is null, and the predicate does not say what null means (== null, | length) */
    bool texts;  /* numbers that are written as texts, and the predicate has no `tonumber` */
};

struct comparison compare_look(const struct run *run, const json_t *predicate);

/* Why the predicate, which is false or (`is_null`) null, does not tell whether there is more; NULL: it does. */
const char *compare_doubt(const struct run *run, const json_t *predicate, bool is_null);

#endif
