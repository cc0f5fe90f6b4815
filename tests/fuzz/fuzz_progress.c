/* worker/progress.h: the metadata of a committed offset, which any client of the group can write, and the map it stands for. A map that
 * is read is written again alike; marks behave as in a plain table. The first line is the committed offset and the metadata; then each
 * byte is a step: what is done, and with which of the next 64 offsets. */
/* links: worker/progress.c */
#include "tests/fuzz/fuzz.h"
#include "worker/progress.h"

enum { OFFSETS = 64 };

static void check_restored(int64_t committed, const char *metadata)
{
    struct progress *progress = progress_new(committed);
    struct progress *again = progress_new(0);
    int restored = progress_restore(progress, metadata);
    FUZZ_CHECK(progress_committable(progress) >= committed);
    FUZZ_CHECK(restored == 0 || progress_committable(progress) == committed);
    char *written = progress_metadata(progress);
    progress_free(again);
    again = progress_new(progress_committable(progress));
    FUZZ_CHECK(progress_restore(again, written) == 0);
    char *same = progress_metadata(again);
    FUZZ_CHECK(strcmp(written, same) == 0);
    FUZZ_CHECK(restored == 0 || !*written);
    for (int64_t at = committed; at < committed + OFFSETS; at++) {
        FUZZ_CHECK(progress_mark(progress, at) == progress_mark(again, at));
    }
    free(same);
    free(written);
    progress_free(again);
    progress_free(progress);
}

/* What the map should say, the slow way. */
static void do_step(struct progress *progress, enum progress_mark *marks, int64_t *next, uint8_t step)
{
    int64_t at = step % OFFSETS;
    enum { READ, BEGUN, FINISHED } kind = step / OFFSETS % 3;
    if (kind == READ) {
        progress_read(progress, at);
        for (int64_t gap = *next; gap < at; gap++) {
            marks[gap] = PROGRESS_FINISHED;
        }
        *next = at >= *next ? at + 1 : *next;
    } else if (kind == BEGUN) {
        progress_begun(progress, at);
        marks[at] = marks[at] == PROGRESS_UNTOUCHED ? PROGRESS_BEGUN : marks[at];
    } else {
        progress_finished(progress, at);
        marks[at] = PROGRESS_FINISHED;
    }
    int64_t committable = 0;
    while (committable < OFFSETS && marks[committable] == PROGRESS_FINISHED) {
        committable++;
    }
    *next = committable > *next ? committable : *next;
    FUZZ_CHECK(progress_committable(progress) == committable);
    for (int64_t i = 0; i < OFFSETS; i++) {
        FUZZ_CHECK(progress_mark(progress, i) == marks[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *line = fuzz_line(&input);
    char *metadata;
    long long committed = strtoll(line, &metadata, 10);
    check_restored(committed < 0 ? 0 : committed % (INT64_MAX / 2), metadata + (*metadata == ' '));
    enum progress_mark marks[OFFSETS] = {0};
    int64_t next = 0;
    struct progress *progress = progress_new(0);
    for (size_t i = 0; i < input.left && i < 200; i++) {
        do_step(progress, marks, &next, input.at[i]);
    }
    progress_free(progress);
    free(line);
    return 0;
}
