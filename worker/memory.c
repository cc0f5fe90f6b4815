#include "worker/memory.h"

#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

struct known {
    const char *job_id; /* points behind the struct */
    int64_t attempt;    /* the latest */
    int64_t succeeded;  /* when one of its attempts did; 0: none */
    bool running;
    void *owner;
    struct known *older; /* among the finished ones */
    struct known *newer;
};

struct memory {
    size_t room;
    void *jobs; /* of tsearch(3) */
    struct known *oldest;
    struct known *newest;
    size_t finished;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->job_id, ((const struct known *)b)->job_id);
}

struct memory *memory_new(size_t room)
{
    struct memory *memory = MEM_NEW(struct memory);
    memory->room = room;
    return memory;
}

void memory_free(struct memory *memory)
{
    if (memory) {
        tdestroy(memory->jobs, free);
        free(memory);
    }
}

static struct known *find(const struct memory *memory, const char *job_id)
{
    struct known key = {.job_id = job_id};
    struct known *const *found = tfind(&key, &memory->jobs, compare);
    return found ? *found : NULL;
}

static struct known *find_or_add(struct memory *memory, const char *job_id)
{
    struct known *known = find(memory, job_id);
    if (!known) {
        size_t size = strlen(job_id) + 1;
        known = mem_alloc(sizeof *known + size);
        known->job_id = memcpy(known + 1, job_id, size);
        known->running = true;
        tsearch(known, &memory->jobs, compare);
    }
    return known;
}

/* ---- the finished ones, in the order they finished --------------------------------------------------------------- */

static void unlink_finished(struct memory *memory, struct known *known)
{
    *(known->older ? &known->older->newer : &memory->oldest) = known->newer;
    *(known->newer ? &known->newer->older : &memory->newest) = known->older;
    known->older = NULL;
    known->newer = NULL;
    memory->finished--;
}

static void link_finished(struct memory *memory, struct known *known)
{
    known->older = memory->newest;
    *(memory->newest ? &memory->newest->newer : &memory->oldest) = known;
    memory->newest = known;
    memory->finished++;
}

static void drop(struct memory *memory, struct known *known)
{
    if (!known->running) {
        unlink_finished(memory, known);
    }
    tdelete(known, &memory->jobs, compare);
    free(known);
}

/* ---- what the caller tells and asks ------------------------------------------------------------------------------ */

enum remembered memory_look(const struct memory *memory, const char *job_id, int64_t attempt, int64_t published,
                            void **owner)
{
    const struct known *known = find(memory, job_id);
    if (!known || (attempt > known->attempt && published >= known->succeeded)) {
        return MEMORY_UNKNOWN;
    }
    if (attempt == known->attempt && known->running && published >= known->succeeded) {
        *owner = known->owner;
        return MEMORY_RUNNING;
    }
    return MEMORY_FINISHED;
}

void memory_running(struct memory *memory, const char *job_id, int64_t attempt, void *owner)
{
    struct known *known = find_or_add(memory, job_id);
    if (attempt < known->attempt) {
        return; /* the latest counts */
    }
    if (!known->running) {
        unlink_finished(memory, known);
    }
    known->running = true;
    known->attempt = attempt;
    known->owner = owner;
}

void memory_succeeded(struct memory *memory, const char *job_id, int64_t now)
{
    struct known *known = find(memory, job_id);
    if (known) {
        known->succeeded = now;
    }
}

void memory_finished(struct memory *memory, const char *job_id, int64_t attempt)
{
    struct known *known = find_or_add(memory, job_id);
    if (attempt < known->attempt) {
        return;
    }
    if (!known->running) {
        unlink_finished(memory, known);
    }
    known->running = false;
    known->attempt = attempt;
    known->owner = NULL;
    link_finished(memory, known);
    while (memory->finished > memory->room) {
        drop(memory, memory->oldest);
    }
}

void memory_forget(struct memory *memory, const char *job_id, int64_t attempt)
{
    struct known *known = find(memory, job_id);
    if (known && known->attempt == attempt) {
        drop(memory, known);
    }
}
