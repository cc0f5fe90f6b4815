/* What a worker remembers of a partition's jobs: (job id, attempt) pairs that run or have finished, so that one
 * published twice (by a planner or a scheduler that started again) is run once. Pure; belongs to one partition
 * number, both topics of it, and goes when the partition goes: the successor reads back. */
#ifndef OFFBOARD_WORKER_MEMORY_H
#define OFFBOARD_WORKER_MEMORY_H

#include <stddef.h>
#include <stdint.h>

enum remembered { MEMORY_UNKNOWN, MEMORY_RUNNING, MEMORY_FINISHED };

struct memory;

/* `room` is the most finished pairs kept; the oldest give way. `span` (microseconds): a record whose timestamp is
 * further than this from the finished one's is a new publication, not a repeat. */
struct memory *memory_new(int64_t span, size_t room);
void memory_free(struct memory *memory);

/* `timestamp` is the record's, in microseconds. For MEMORY_RUNNING `owner` gets what memory_running() was given. */
enum remembered memory_look(const struct memory *memory, const char *job_id, int64_t attempt, int64_t timestamp,
                            void **owner);

void memory_running(struct memory *memory, const char *job_id, int64_t attempt, int64_t timestamp, void *owner);
void memory_finished(struct memory *memory, const char *job_id, int64_t attempt, int64_t timestamp);

/* It will not finish here. */
void memory_forget(struct memory *memory, const char *job_id, int64_t attempt);

#endif
