/* Between conf.c, conf_options.c and conf_document.c. */
#ifndef OFFBOARD_LIB_CONF_INTERNAL_H
#define OFFBOARD_LIB_CONF_INTERNAL_H

#include "lib/conf.h"
#include "lib/mem.h"

extern const struct conf_option conf_table[];
extern const size_t conf_table_size;

#endif
