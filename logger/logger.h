/* offboard-logger: events to PostgreSQL, exactly once.
 *
 * A batch of messages from offboard.events and offboard.control becomes rows, job states, `due` rows and
 * `UPDATE kafka_offset SET next = $new WHERE next = $old` in one transaction; no row updated means that another logger owns
 * the partition: roll back, let go. Offsets live in PostgreSQL only; Kafka's group shares the partitions between replicas.
 *
 * Order within a batch is kept per offboarding: the statements are set-based, in waves that hold at most one event of each
 * offboarding. One function in SQL, change_job_state(), changes a job's state. A message that can't be decoded, or that
 * PostgreSQL refuses for its data (the batch is then bisected), is set aside on offboard.dead with the reason; everything
 * else is waited out.
 *
 * Each event row carries a hash chain per Kafka partition: hash = SHA-256(previous hash, the row's fields in clear, the
 * commitment to its personal part), commitment = SHA-256(salt, body): the body can be blanked later without breaking the
 * chain. */
#ifndef OFFBOARD_LOGGER_H
#define OFFBOARD_LOGGER_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>

#include "lib/conf.h"
#include "lib/err.h"

struct logger;

struct logger *logger_new(const struct conf *conf, struct err *err);
void logger_free(struct logger *logger);

/* Until daemon_stopping. */
int logger_run(struct logger *logger, struct err *err);

#endif
