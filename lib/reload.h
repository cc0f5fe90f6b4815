/* SIGHUP: a service begins anew in the same process, with the configuration, secrets and definitions of now.
 *
 * A child first reads all of them (`--check-config`), so that a mistake in them changes nothing. Then the service ends as on SIGTERM, in
 * good order, and the program is executed again. Sockets that listen stay open in between: clients wait, and nobody is refused. Only the
 * command line and the variables of the environment are as they were. */
#ifndef OFFBOARD_LIB_RELOAD_H
#define OFFBOARD_LIB_RELOAD_H

#include <signal.h>
#include <stdbool.h>

#include "lib/conf.h"

enum { RELOAD_SIGNAL = SIGUSR1 /* what the process sends itself; means something while reload_wanted() */ };

/* First thing of the process: takes SIGHUP, and the sockets that the program left. */
void reload_begin(char **argv);

/* The service is up, and can end by RELOAD_SIGNAL from now on. Closes sockets that nobody took. `path` is the configuration's, or NULL. */
void reload_enable(const struct conf *conf, const char *path);

bool reload_wanted(void);
void reload_cancel(void); /* the process is to end for good; async-signal-safe */

/* The last step of a service that has ended well: does not return when a reload is wanted. Async-signal-safe. */
void reload_now(void);

/* A socket that listens there, left by the program before: the caller's from now on; -1: none. */
int reload_socket(const char *listen);
void reload_leave_socket(const char *listen, int fd); /* takes it over */

#endif
