/* What of one partition of one topic is done: the contiguous committed offset, and beyond it which jobs have
 * delivered events (finished) and which `once` calls have begun. Pure; times and I/O belong to the caller.
 *
 * Travels as Kafka offset metadata: "1:" and the base64 of unsigned LEB128 varints, run lengths that go round
 * untouched, finished, begun, untouched, … from the committed offset on; a length may be 0; the last untouched run is
 * left out; the empty map is "". Anything unreadable is read as the empty map (and said so): at worst work is looked
 * at again. */
#ifndef OFFBOARD_WORKER_PROGRESS_H
#define OFFBOARD_WORKER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of metadata at which no new job starts; 4,096 is Kafka's limit (tried). */
enum { PROGRESS_METADATA_FULL = 3072 };

enum progress_mark { PROGRESS_UNTOUCHED, PROGRESS_FINISHED, PROGRESS_BEGUN };

struct progress;

struct progress *progress_new(int64_t committed);
void progress_free(struct progress *progress);

/* -1 when `metadata` is unreadable (the map is then empty). NULL or "" is the empty map. */
int progress_restore(struct progress *progress, const char *metadata);

/* An offset that was read from the topic (offsets can have gaps: compaction, transaction markers). */
void progress_read(struct progress *progress, int64_t offset);
void progress_begun(struct progress *progress, int64_t offset);
void progress_finished(struct progress *progress, int64_t offset);
enum progress_mark progress_mark(const struct progress *progress, int64_t offset);

int64_t progress_committable(const struct progress *progress); /* the next offset to read after a restart */
char *progress_metadata(const struct progress *progress);      /* for that offset; the caller frees */
bool progress_full(const struct progress *progress);
bool progress_changed(const struct progress *progress); /* since progress_saved() */
void progress_saved(struct progress *progress);

#endif
