#include "worker/progress.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"

enum { VARINT_MAX = 10 }; /* bytes of a 64-bit LEB128 number */

static const char version[] = "1:";

/* Offsets [from, to) with the same mark; never PROGRESS_UNTOUCHED. */
struct run {
    int64_t from;
    int64_t to;
    enum progress_mark mark;
};

struct progress {
    int64_t committed; /* everything before it is finished */
    int64_t next;      /* first offset not read yet */
    struct run *runs;  /* sorted, disjoint, neighbours with the same mark merged, all from `committed` on */
    size_t count;
    size_t room;
    bool changed;
};

struct progress *progress_new(int64_t committed)
{
    struct progress *progress = MEM_NEW(struct progress);
    progress->committed = committed;
    progress->next = committed;
    return progress;
}

void progress_free(struct progress *progress)
{
    if (progress) {
        free(progress->runs);
        free(progress);
    }
}

/* ---- the runs ---------------------------------------------------------------------------------------------------- */

/* Index of the first run that ends after `offset`. */
static size_t run_at(const struct progress *progress, int64_t offset)
{
    size_t low = 0;
    size_t high = progress->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (progress->runs[middle].to <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void runs_replace(struct progress *progress, size_t at, size_t old, const struct run *with, size_t new)
{
    size_t count = progress->count - old + new;
    if (count > progress->room) {
        progress->room = count * 2;
        progress->runs = mem_realloc(progress->runs, progress->room * sizeof *progress->runs);
    }
    size_t rest = progress->count - at - old;
    if (rest) {
        memmove(progress->runs + at + new, progress->runs + at + old, rest * sizeof *progress->runs);
    }
    if (new) {
        memcpy(progress->runs + at, with, new * sizeof *with);
    }
    progress->count = count;
}

/* Adds a piece behind the last one, as one with it when it continues it. */
static size_t piece_add(struct run *pieces, size_t count, struct run piece)
{
    if (piece.from >= piece.to) {
        return count;
    }
    if (count && pieces[count - 1].to == piece.from && pieces[count - 1].mark == piece.mark) {
        pieces[count - 1].to = piece.to;
        return count;
    }
    pieces[count] = piece;
    return count + 1;
}

/* Marks [from, to), whatever was there before. */
static void mark_range(struct progress *progress, int64_t from, int64_t to, enum progress_mark mark)
{
    size_t first = run_at(progress, from);
    if (first && progress->runs[first - 1].to == from) {
        first--; /* touches: may become one run */
    }
    size_t end = first;
    while (end < progress->count && progress->runs[end].from <= to) {
        end++;
    }
    struct run pieces[4];
    size_t count = 0;
    if (end > first) {
        struct run left = progress->runs[first];
        left.to = left.to < from ? left.to : from;
        count = piece_add(pieces, count, left);
    }
    count = piece_add(pieces, count, (struct run){from, to, mark});
    if (end > first) {
        struct run right = progress->runs[end - 1];
        right.from = right.from > to ? right.from : to;
        count = piece_add(pieces, count, right);
    }
    runs_replace(progress, first, end - first, pieces, count);
}

static void advance(struct progress *progress)
{
    struct run *head = progress->runs;
    if (progress->count && head->from == progress->committed && head->mark == PROGRESS_FINISHED) {
        progress->committed = head->to;
        if (progress->next < progress->committed) {
            progress->next = progress->committed;
        }
        runs_replace(progress, 0, 1, NULL, 0);
    }
}

static void set_mark(struct progress *progress, int64_t from, int64_t to, enum progress_mark mark)
{
    if (from < progress->committed) {
        from = progress->committed;
    }
    if (from < to) {
        mark_range(progress, from, to, mark);
        advance(progress);
        progress->changed = true;
    }
}

/* ---- what the caller tells and asks ------------------------------------------------------------------------------ */

void progress_read(struct progress *progress, int64_t offset)
{
    if (offset < progress->next) {
        return;
    }
    int64_t gap = progress->next;
    progress->next = offset + 1;
    set_mark(progress, gap, offset, PROGRESS_FINISHED); /* there is nothing to do there */
}

void progress_begun(struct progress *progress, int64_t offset)
{
    if (progress_mark(progress, offset) == PROGRESS_UNTOUCHED) {
        set_mark(progress, offset, offset + 1, PROGRESS_BEGUN);
    }
}

void progress_finished(struct progress *progress, int64_t offset)
{
    set_mark(progress, offset, offset + 1, PROGRESS_FINISHED);
}

enum progress_mark progress_mark(const struct progress *progress, int64_t offset)
{
    if (offset < progress->committed) {
        return PROGRESS_FINISHED;
    }
    size_t i = run_at(progress, offset);
    return i < progress->count && progress->runs[i].from <= offset ? progress->runs[i].mark : PROGRESS_UNTOUCHED;
}

int64_t progress_committable(const struct progress *progress)
{
    return progress->committed;
}

bool progress_changed(const struct progress *progress)
{
    return progress->changed;
}

void progress_saved(struct progress *progress)
{
    progress->changed = false;
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

/* One run length; the marks go round: untouched, finished, begun. */
struct lengths {
    struct buf bytes; /* varints; not kept when `size_only` */
    size_t size;
    bool size_only;
    enum progress_mark turn;
};

static void length_add(struct lengths *lengths, uint64_t value)
{
    unsigned char varint[VARINT_MAX];
    size_t size = 0;
    do {
        varint[size++] = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    lengths->size += size;
    if (!lengths->size_only) {
        buf_add(&lengths->bytes, varint, size);
    }
    lengths->turn = (enum progress_mark)((lengths->turn + 1) % 3);
}

static void lengths_collect(const struct progress *progress, struct lengths *lengths)
{
    int64_t at = progress->committed;
    for (size_t i = 0; i < progress->count; i++) {
        const struct run *run = &progress->runs[i];
        uint64_t untouched = (uint64_t)(run->from - at);
        while (untouched || lengths->turn != run->mark) {
            bool now = lengths->turn == PROGRESS_UNTOUCHED;
            length_add(lengths, now ? untouched : 0);
            untouched = now ? 0 : untouched;
        }
        length_add(lengths, (uint64_t)(run->to - run->from));
        at = run->to;
    }
}

char *progress_metadata(const struct progress *progress)
{
    struct lengths lengths = {.bytes = BUF_INIT};
    lengths_collect(progress, &lengths);
    if (!lengths.size) {
        return mem_strdup("");
    }
    size_t prefix = strlen(version);
    char *text = mem_alloc(prefix + 4 * ((lengths.size + 2) / 3) + 1);
    memcpy(text, version, prefix);
    EVP_EncodeBlock((unsigned char *)text + prefix, (const unsigned char *)lengths.bytes.data, (int)lengths.size);
    buf_release(&lengths.bytes);
    return text;
}

bool progress_full(const struct progress *progress)
{
    struct lengths lengths = {.size_only = true};
    lengths_collect(progress, &lengths);
    return strlen(version) + 4 * ((lengths.size + 2) / 3) >= PROGRESS_METADATA_FULL;
}

/* Bytes decoded, -1 when `text` is no base64. EVP_DecodeBlock() counts the padding as bytes. */
static int base64_decode(const char *text, unsigned char *out)
{
    size_t len = strlen(text);
    int size =
        len % 4 == 0 && len / 4 < INT32_MAX / 4 ? EVP_DecodeBlock(out, (const unsigned char *)text, (int)len) : -1;
    for (size_t i = len; size > 0 && i > 0 && text[i - 1] == '='; i--) {
        size--;
    }
    return size;
}

/* Reads one length; the number of bytes taken, 0 when there is no valid one. */
static size_t length_read(const unsigned char *bytes, size_t size, int64_t *length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size && i < VARINT_MAX; i++) {
        value |= (uint64_t)(bytes[i] & 0x7f) << (7 * i);
        if (!(bytes[i] & 0x80)) {
            *length = (int64_t)value;
            return value <= INT64_MAX && (i < VARINT_MAX - 1 || bytes[i] <= 1) ? i + 1 : 0;
        }
    }
    return 0;
}

static int lengths_apply(struct progress *progress, const unsigned char *bytes, size_t size)
{
    int64_t at = progress->committed;
    enum progress_mark turn = PROGRESS_UNTOUCHED;
    while (size) {
        int64_t length;
        size_t taken = length_read(bytes, size, &length);
        if (!taken || length > INT64_MAX - at) {
            return -1;
        }
        if (turn != PROGRESS_UNTOUCHED && length) {
            mark_range(progress, at, at + length, turn);
        }
        at += length;
        turn = (enum progress_mark)((turn + 1) % 3);
        bytes += taken;
        size -= taken;
    }
    return 0;
}

int progress_restore(struct progress *progress, const char *metadata)
{
    progress->count = 0;
    if (!metadata || !*metadata) {
        return 0;
    }
    if (strncmp(metadata, version, strlen(version)) != 0) {
        return -1;
    }
    const char *text = metadata + strlen(version);
    unsigned char *bytes = mem_alloc(strlen(text) / 4 * 3 + 4);
    int size = base64_decode(text, bytes);
    int result = size >= 0 ? lengths_apply(progress, bytes, (size_t)size) : -1;
    free(bytes);
    if (result != 0) {
        progress->count = 0;
    }
    advance(progress);
    return result;
}
