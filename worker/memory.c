#include "worker/memory.h"

#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"

struct pair {
    const char *job_id; /* points behind the struct */
    int64_t attempt;
    int64_t timestamp;
    bool running;
    void *owner;
    struct pair *older; /* among the finished ones */
    struct pair *newer;
};

struct memory {
    int64_t span;
    size_t room;
    void *pairs; /* of tsearch(3) */
    struct pair *oldest;
    struct pair *newest;
    size_t finished;
};

static int compare(const void *a, const void *b)
{
    const struct pair *left = a;
    const struct pair *right = b;
    int order = strcmp(left->job_id, right->job_id);
    return order ? order : (left->attempt > right->attempt) - (left->attempt < right->attempt);
}

struct memory *memory_new(int64_t span, size_t room)
{
    struct memory *memory = MEM_NEW(struct memory);
    memory->span = span;
    memory->room = room;
    return memory;
}

void memory_free(struct memory *memory)
{
    if (memory) {
        tdestroy(memory->pairs, free);
        free(memory);
    }
}

static struct pair *find(const struct memory *memory, const char *job_id, int64_t attempt)
{
    struct pair key = {.job_id = job_id, .attempt = attempt};
    struct pair *const *found = tfind(&key, &memory->pairs, compare);
    return found ? *found : NULL;
}

static struct pair *find_or_add(struct memory *memory, const char *job_id, int64_t attempt)
{
    struct pair *pair = find(memory, job_id, attempt);
    if (!pair) {
        size_t size = strlen(job_id) + 1;
        pair = mem_alloc(sizeof *pair + size);
        pair->job_id = memcpy(pair + 1, job_id, size);
        pair->attempt = attempt;
        pair->running = true;
        tsearch(pair, &memory->pairs, compare);
    }
    return pair;
}

/* ---- the finished ones, in the order they finished --------------------------------------------------------------- */

static void unlink_finished(struct memory *memory, struct pair *pair)
{
    *(pair->older ? &pair->older->newer : &memory->oldest) = pair->newer;
    *(pair->newer ? &pair->newer->older : &memory->newest) = pair->older;
    pair->older = NULL;
    pair->newer = NULL;
    memory->finished--;
}

static void link_finished(struct memory *memory, struct pair *pair)
{
    pair->older = memory->newest;
    *(memory->newest ? &memory->newest->newer : &memory->oldest) = pair;
    memory->newest = pair;
    memory->finished++;
}

static void drop(struct memory *memory, struct pair *pair)
{
    if (!pair->running) {
        unlink_finished(memory, pair);
    }
    tdelete(pair, &memory->pairs, compare);
    free(pair);
}

/* ---- what the caller tells and asks ------------------------------------------------------------------------------ */

enum remembered memory_look(const struct memory *memory, const char *job_id, int64_t attempt, int64_t timestamp,
                            void **owner)
{
    const struct pair *pair = find(memory, job_id, attempt);
    if (!pair) {
        return MEMORY_UNKNOWN;
    }
    if (pair->running) {
        *owner = pair->owner;
        return MEMORY_RUNNING;
    }
    return llabs(timestamp - pair->timestamp) <= memory->span ? MEMORY_FINISHED : MEMORY_UNKNOWN;
}

void memory_running(struct memory *memory, const char *job_id, int64_t attempt, int64_t timestamp, void *owner)
{
    struct pair *pair = find_or_add(memory, job_id, attempt);
    if (!pair->running) {
        unlink_finished(memory, pair);
    }
    pair->running = true;
    pair->timestamp = timestamp;
    pair->owner = owner;
}

void memory_finished(struct memory *memory, const char *job_id, int64_t attempt, int64_t timestamp)
{
    struct pair *pair = find_or_add(memory, job_id, attempt);
    if (!pair->running) {
        unlink_finished(memory, pair);
    }
    pair->running = false;
    pair->timestamp = timestamp;
    pair->owner = NULL;
    link_finished(memory, pair);
    while (memory->finished > memory->room) {
        drop(memory, memory->oldest);
    }
}

void memory_forget(struct memory *memory, const char *job_id, int64_t attempt)
{
    struct pair *pair = find(memory, job_id, attempt);
    if (pair) {
        drop(memory, pair);
    }
}
