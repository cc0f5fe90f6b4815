/* worker/retry.c: what a vendor says of when to come back. Never in the past, never for ever. The first line is the header, the second
 * the time it is. */
/* links: worker/retry.c */
#include "lib/time.h"
#include "tests/fuzz/fuzz.h"
#include "worker/retry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_line(&input), *time = fuzz_line(&input);
    int64_t now = strtoll(time, NULL, 10) % INT64_C(253402300800) * TIME_SECOND; /* before the year 10000 */
    now = now < 0 ? 0 : now;
    int64_t wait = retry_after_parse(text, now);
    FUZZ_CHECK(wait >= -1 && wait <= INT64_C(253402300800) * TIME_SECOND);
    char *seconds = mem_printf("%lld", (long long)(now / TIME_SECOND));
    FUZZ_CHECK(retry_after_parse(seconds, now) == now / TIME_SECOND * TIME_SECOND ||
               now >= INT64_C(100000000000) * TIME_SECOND);
    free(seconds);
    free(time);
    free(text);
    return 0;
}
