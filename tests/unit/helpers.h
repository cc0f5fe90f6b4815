/* What several unit tests need: files for a moment, output caught, texts within texts. Include after <cmocka.h>. */
#ifndef OFFBOARD_TESTS_UNIT_HELPERS_H
#define OFFBOARD_TESTS_UNIT_HELPERS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/mem.h"

#define assert_contains(text, part) assert_contains_at((text), (part), __FILE__, __LINE__)

static inline void assert_contains_at(const char *text, const char *part, const char *file, int line)
{
    if (!text || !strstr(text, part)) {
        print_error("\"%s\" does not stand in:\n%s\n", part, text ? text : "(null)");
        _fail(file, line);
    }
}

/* A new file that holds `content`; the caller removes it with temporary_remove(). */
static __attribute__((noinline, unused, returns_nonnull)) char *temporary_file(const char *content)
{
    const char *directory = getenv("TMPDIR");
    char *path = mem_printf("%s/offboard-test-XXXXXX", directory ? directory : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    return path;
}

static inline void temporary_remove(char *path)
{
    unlink(path);
    free(path);
}

/* What a child process did. */
struct outcome {
    char *out; /* standard output and standard error together; free() */
    int code;  /* exit code, or 128 and the signal's number */
};

/* Runs `body` in a child process until it returns or ends the process. */
static inline struct outcome in_child(void (*body)(void *arg), void *arg)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fileno(file), STDOUT_FILENO);
        dup2(fileno(file), STDERR_FILENO);
        body(arg);
        fflush(NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    long size = (fseek(file, 0, SEEK_END), ftell(file));
    struct outcome outcome = {mem_alloc((size_t)size + 1), 0};
    rewind(file);
    assert_int_equal(fread(outcome.out, 1, (size_t)size, file), size);
    fclose(file);
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return outcome;
}

#endif
