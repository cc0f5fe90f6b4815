/* Which jobs of a system have been answered, as its topic of results says. Asked when Kafka no longer has the offsets of the system's consumer
 * group (it forgets them when the group has had no member for `offsets.retention.minutes`): the topics of jobs are read from their
 * beginning then, and what was done must not be done again to somebody who has come back since. */
#ifndef OFFBOARD_WORKER_ANSWERED_H
#define OFFBOARD_WORKER_ANSWERED_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/keyring.h"

struct answered;

/* Reads the topic `results` from its beginning to where it ends now, which may take minutes, as a member of no group; `rk` is any
 * client. Until `*stop` is set. The caller frees with answered_free(). NULL with an ERR_RETRY. */
struct answered *answered_read(const struct conf *conf, rd_kafka_t *rk, const char *results, struct keyring *keyring,
                               const volatile sig_atomic_t *stop, struct err *err);
void answered_free(struct answered *answered); /* NULL is accepted */

/* Was this attempt of the job, or a later one, answered? NULL has no answers. */
bool answered_has(const struct answered *answered, const char *job_id, int64_t attempt);

/* A job that was published at this time (microseconds) and has no answer: may its call have begun before the offsets were forgotten? True until
 * the last answer came. */
bool answered_may_have_begun(const struct answered *answered, int64_t published);

/* Offset metadata of a partition that is still being read from its beginning: the records before the offset `until` are the ones that may have
 * been answered. A worker that takes the partition over must know it, too. Takes `metadata` over and returns a text that the caller frees. */
char *answered_mark(char *metadata, int64_t until);
/* The metadata without the mark, borrowed; `*until` is 0 when there is none. NULL gives NULL. */
const char *answered_unmark(const char *metadata, int64_t *until);

size_t answered_count(const struct answered *answered); /* answers */

#endif
