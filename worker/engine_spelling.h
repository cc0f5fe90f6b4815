/* How vendors write addresses: alone, after a name, after a scheme, several in one text. */
#ifndef OFFBOARD_WORKER_ENGINE_SPELLING_H
#define OFFBOARD_WORKER_ENGINE_SPELLING_H

#include <jansson.h>
#include <stdbool.h>

/* Adds to `list` the addresses of the text: "ann@example.com", "Ann <ann@example.com>", "SMTP:ann@example.com",
 * "mailto:ann@example.com", and several of these with commas or semicolons between them. A text that is none of these is added as it
 * is. */
void spelling_add(json_t *list, const char *text);

/* Does the text hold the key as a whole, with something around it that does not belong to an address or a number: "(ann@example.com)",
 * but not "joann@example.com"? */
bool spelling_holds(const char *text, const char *key);

#endif
