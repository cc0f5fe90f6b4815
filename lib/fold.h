/* Addresses and ids whatever their case: JÜRGEN@ and jürgen@ are one, written with one character for the ü or with two; and so are
 * jane@münchen.de and jane@xn--mnchen-3ya.de. Nothing else is: rené@ and rene@ are two people, and so are weiß@ and weiss@. */
#ifndef OFFBOARD_LIB_FOLD_H
#define OFFBOARD_LIB_FOLD_H

#include <stdbool.h>

/* The text in NFC and in lower case. NULL gives NULL; the caller frees. */
char *fold_text(const char *text);

/* The same of an address, with its domain as DNS writes it (IDNA 2008, xn--…). A text without "@" is folded as a text. */
char *fold_address(const char *address);

/* The address with its domain as people write it (münchen.de), as far as it has another spelling. The caller frees. */
char *fold_shown(const char *address);

/* Are both the same address, or the same text? False when one is NULL. */
bool fold_same(const char *a, const char *b);

#endif
