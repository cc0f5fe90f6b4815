/* Text as people read it. */
#ifndef OFFBOARD_LIB_TEXT_H
#define OFFBOARD_LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes of UTF-8 `text` to keep so that at most `max` are kept and no character is cut in two. */
size_t text_cut(const char *text, size_t max);

/* The beginning of `text`, at most `max` bytes, with "…" where something was left out. The caller frees; NULL gives NULL. */
char *text_shortened(const char *text, size_t max);

/* The text for logs, tickets and terminals: control characters are blanks, and marks of text direction are left out. The caller frees;
 * NULL gives NULL. */
char *text_plain(const char *text);

/* Does the text begin as a web page does? White space, a byte-order mark, comments and an XML declaration may stand before it. */
bool text_is_page(const char *text);

/* Has it no byte beyond ASCII? */
bool text_is_ascii(const char *text);

/* Is it one of `words`? A word that ends in a point stands for all texts that begin so. */
bool text_in_families(const char *text, const char *const *words, size_t count);

#endif
