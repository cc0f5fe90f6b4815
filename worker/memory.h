/* What a worker remembers of a partition's jobs: the latest attempt of each that runs or has finished, so that a job whose
 * message it meets twice is run once. Pure; belongs to one partition number, both topics of it, and goes when the
 * partition goes: the successor reads back. */
#ifndef OFFBOARD_WORKER_MEMORY_H
#define OFFBOARD_WORKER_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* MEMORY_FINISHED: the record needs no run. It repeats an attempt that has finished, or an earlier attempt than the latest, or
 * it was published before an earlier attempt succeeded here, by somebody who took that one for lost. */
enum remembered { MEMORY_UNKNOWN, MEMORY_RUNNING, MEMORY_FINISHED };

struct memory;

/* `room` is the most finished jobs kept; the oldest give way. */
struct memory *memory_new(size_t room);
void memory_free(struct memory *memory);

/* `published` is the record's time, in microseconds. For MEMORY_RUNNING `owner` gets what memory_running() was given. */
enum remembered memory_look(const struct memory *memory, const char *job_id, int64_t attempt, int64_t published,
                            void **owner);

void memory_running(struct memory *memory, const char *job_id, int64_t attempt, void *owner);

void memory_finished(struct memory *memory, const char *job_id, int64_t attempt);
void memory_succeeded(struct memory *memory, const char *job_id, int64_t now); /* one of its attempts, just now */

/* It will not finish here. */
void memory_forget(struct memory *memory, const char *job_id, int64_t attempt);

#endif
