/* Which systems this process serves. */
#ifndef OFFBOARD_WORKER_SYSTEMS_H
#define OFFBOARD_WORKER_SYSTEMS_H

#include "lib/conf.h"

/* From `option` (--system NAME[,NAME…]), when it is NULL from worker.systems; each name once. A NULL-ended list for
 * systems_free(). */
char **systems_read(const struct conf *conf, const char *option);
void systems_free(char **systems);

#endif
