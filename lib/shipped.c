#include "lib/shipped.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mem.h"

static const struct {
    const char *what;
    const char *in_checkout;
} places[] = {
    {"sources", "producer/sources"},
    {"runbooks", "producer/runbooks"},
    {"connectors", "worker/connectors"},
    {"schema", "schema"},
};

static const char *checkout_place(const char *what)
{
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        if (strcmp(places[i].what, what) == 0) {
            return places[i].in_checkout;
        }
    }
    return what;
}

/* `<base>/<place>` when that is a directory; NULL else. The caller frees. */
static char *directory_in(const char *base, const char *place)
{
    char *path = mem_printf("%s/%s", base, place);
    struct stat found;
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode)) {
        return path;
    }
    free(path);
    return NULL;
}

char *shipped_directory(const char *what)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0) {
        return NULL;
    }
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    *slash = '\0'; /* the directory of the program: PREFIX/bin, or build/ and below in a checkout */
    char *share = mem_printf("../share/offboard/%s", what);
    char *found = directory_in(self, share);
    free(share);
    while (!found && (slash = strrchr(self, '/'))) {
        *slash = '\0';
        found = directory_in(self, checkout_place(what));
    }
    return found;
}
