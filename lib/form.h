/* application/x-www-form-urlencoded (URL Standard, 5.1): what a browser's form, or a sender's, puts into a body. */
#ifndef OFFBOARD_LIB_FORM_H
#define OFFBOARD_LIB_FORM_H

#include <jansson.h>
#include <stddef.h>

#include "lib/err.h"

/* Names to texts, percent-decoded; of a name that comes again, a list. NULL with an ERR_PERMANENT when it is no UTF-8, holds a NUL,
 * or has more than 1,000 fields. */
json_t *form_parse(const char *text, size_t len, struct err *err);

#endif
