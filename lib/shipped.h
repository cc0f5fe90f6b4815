/* Where the files that come with the programs lie. */
#ifndef OFFBOARD_LIB_SHIPPED_H
#define OFFBOARD_LIB_SHIPPED_H

/* Directory of "sources", "runbooks", "connectors" or "schema": share/offboard/<what> beside the running program's bin/ when
 * installed, else the room's directory in the checkout the program was built in. The caller frees; NULL when neither is
 * there. */
char *shipped_directory(const char *what);

#endif
