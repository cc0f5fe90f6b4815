/* What the fuzz targets share: an input taken apart, and claims that have to hold for every input.
 *
 * A target is one file, fuzz_NAME.c, with one LLVMFuzzerTestOneInput(). libFuzzer calls it with inputs that it invents (make fuzz),
 * replay.c with those in corpus/NAME (make test). */
#ifndef OFFBOARD_TESTS_FUZZ_H
#define OFFBOARD_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/json.h"
#include "lib/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program when `claim` does not hold; both libFuzzer and the replay report the input. */
#define FUZZ_CHECK(claim)                                                                                              \
    do {                                                                                                               \
        if (!(claim)) {                                                                                                \
            fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #claim);                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* What is left of an input. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

/* The next line, without its line break. All three copies are exactly as long as needed, so that the address sanitizer sees any read
 * beyond them; the caller frees. */
char *fuzz_line(struct fuzz_input *input);

/* What is left, as a text that ends at its first NUL. */
char *fuzz_text(const struct fuzz_input *input);

/* What is left, as it is, without a NUL after it; never NULL. */
char *fuzz_bytes(const struct fuzz_input *input);

/* A new directory for files that a target writes; it lies in memory where the system has such a place. Belongs to the library. */
const char *fuzz_directory(void);
void fuzz_write(const char *path, const void *data, size_t size);

#endif
