/* Identifiers and digests. Texts of UUIDs are 36 lower-case characters. */
#ifndef OFFBOARD_LIB_ID_H
#define OFFBOARD_LIB_ID_H

#include <stddef.h>

enum { ID_LEN = 36, ID_SIZE = ID_LEN + 1, ID_SHA256_HEX_SIZE = 65 };

void id_v7(char out[ID_SIZE]); /* time-ordered, random rest: RFC 9562, 5.7; thread-safe */

/* UUIDv5 (RFC 9562, 5.5) of `name` in the namespace `ns` (a UUID's text). -1 when `ns` is no UUID. */
int id_v5(const char *ns, const void *name, size_t len, char out[ID_SIZE]);

/* The contract's ids; the bytes are defined in schema/messages.md. */
void id_offboarding(const char *source, const char *event_id, char out[ID_SIZE]);
int id_job(const char *offboarding_id, const char *phase, const char *step, char out[ID_SIZE]);
int id_initiated(const char *offboarding_id, char out[ID_SIZE]); /* event id of `initiated` */

/* Event id of `intake`: what became of the record at topic/partition/offset. */
void id_intake(const char *source, const char *event_id, const char *record, char out[ID_SIZE]);

/* Of a signal, by the source that takes it in and the sender's own id of it. */
void id_signal(const char *source, const char *sent, char out[ID_SIZE]);

/* Of the orders of one request: the same for the same `what`. */
void id_order_batch(const char *what, char out[ID_SIZE]);

int id_valid(const char *text); /* 1 when it is a UUID's text */

/* Copies a UUID's text in lower case, as everything here writes it: for every door by which ids come in. -1 when it is none. */
int id_parse(const char *text, char out[ID_SIZE]);

void id_sha256_hex(const void *data, size_t len, char out[ID_SHA256_HEX_SIZE]);

#endif
