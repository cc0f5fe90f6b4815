#include "worker/fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/mem.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#endif
#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { FIBER_MAGIC = 0x46494252, STACK_SIZE = 1024 * 1024 };

enum fiber_phase { FIBER_KEPT, FIBER_RUNNING, FIBER_WAITING, FIBER_ENDED };

struct fiber {
    int magic;
    enum fiber_phase phase;
    struct fiber *next; /* among the kept ones */
    char *mapping;      /* guard page, then the stack */
    void (*run)(void *arg);
    void *arg;
    ucontext_t here;         /* where it waits */
    ucontext_t back;         /* whoever started or resumed it, until it waits or ends */
    struct fiber *resumer;   /* the same as a fiber; NULL: the loop */
    void *fake_stack;        /* AddressSanitizer's, while it waits */
    const void *back_bottom; /* the resumer's stack, for AddressSanitizer */
    size_t back_size;
};

/* The loop has one thread, and so have all fibers. */
static struct fiber *current;
static struct fiber *kept;
static size_t alive;

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static char *stack_of(const struct fiber *fiber)
{
    return fiber->mapping + page_size();
}

/* Misuse of fibers corrupts stacks; ending at once is the only safe answer. */
static void require(bool right, const char *what)
{
    if (!right) {
        fprintf(stderr, "fiber: %s\n", what);
        abort();
    }
}

/* ---- AddressSanitizer has to know on which stack we are ---------------------------------------------------------- */

static void switch_begins(void **fake_stack, const void *bottom, size_t size)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(fake_stack, bottom, size);
#else
    (void)fake_stack;
    (void)bottom;
    (void)size;
#endif
}

static void switch_done(void *fake_stack, const void **bottom_left, size_t *size_left)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, bottom_left, size_left);
#else
    (void)fake_stack;
    (void)bottom_left;
    (void)size_left;
#endif
}

/* A fiber's first frame never returns: what it poisoned would be found by the next user of the stack. */
static void stack_unpoison(const struct fiber *fiber)
{
#ifdef FIBER_ASAN
    __asan_unpoison_memory_region(stack_of(fiber), STACK_SIZE);
#else
    (void)fiber;
#endif
}

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

static struct fiber *fiber_new(void)
{
    struct fiber *fiber = MEM_NEW(struct fiber);
    size_t size = page_size() + STACK_SIZE;
    void *mapping =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    require(mapping != MAP_FAILED, "out of memory for a stack");
    require(mprotect(mapping, page_size(), PROT_NONE) == 0, "could not protect a stack's guard page");
    fiber->mapping = mapping;
    fiber->magic = FIBER_MAGIC;
    return fiber;
}

static struct fiber *fiber_take(void)
{
    struct fiber *fiber = kept;
    if (!fiber) {
        return fiber_new();
    }
    kept = fiber->next;
    fiber->next = NULL;
    return fiber;
}

static void fiber_keep(struct fiber *fiber)
{
    stack_unpoison(fiber);
    fiber->phase = FIBER_KEPT;
    fiber->next = kept;
    kept = fiber;
    alive--;
}

void fibers_release(void)
{
    require(alive == 0, "stacks released while a fiber is alive");
    while (kept) {
        struct fiber *fiber = kept;
        kept = fiber->next;
        munmap(fiber->mapping, page_size() + STACK_SIZE);
        free(fiber);
    }
}

/* ---- switching --------------------------------------------------------------------------------------------------- */

/* Back to whoever resumed this fiber. An ended fiber's fake stack is given up (NULL). */
static void leave(struct fiber *fiber, enum fiber_phase phase)
{
    fiber->phase = phase;
    current = fiber->resumer;
    switch_begins(phase == FIBER_ENDED ? NULL : &fiber->fake_stack, fiber->back_bottom, fiber->back_size);
    swapcontext(&fiber->here, &fiber->back);
    switch_done(fiber->fake_stack, &fiber->back_bottom, &fiber->back_size);
}

/* The first frame of every fiber. makecontext() passes ints only: `current` says who it is. */
static void first_frame(void)
{
    struct fiber *fiber = current;
    switch_done(NULL, &fiber->back_bottom, &fiber->back_size);
    fiber->run(fiber->arg);
    leave(fiber, FIBER_ENDED);
    abort(); /* nobody resumes an ended fiber */
}

/* Runs `fiber` until it waits (true) or ends (false: it is gone). */
static bool enter(struct fiber *fiber)
{
    void *fake_stack = NULL;
    fiber->resumer = current;
    fiber->phase = FIBER_RUNNING;
    current = fiber;
    switch_begins(&fake_stack, stack_of(fiber), STACK_SIZE);
    swapcontext(&fiber->back, &fiber->here);
    switch_done(fake_stack, NULL, NULL);
    if (fiber->phase == FIBER_ENDED) {
        fiber_keep(fiber);
        return false;
    }
    return true;
}

/* Apart from its caller: getcontext() counts as setjmp() does, and makes the compiler distrust locals around it. */
static __attribute__((noinline)) void prepare(struct fiber *fiber)
{
    getcontext(&fiber->here);
    fiber->here.uc_stack.ss_sp = stack_of(fiber);
    fiber->here.uc_stack.ss_size = STACK_SIZE;
    fiber->here.uc_link = NULL;
    makecontext(&fiber->here, first_frame, 0);
}

struct fiber *fiber_start(void (*run)(void *arg), void *arg)
{
    struct fiber *fiber = fiber_take();
    alive++;
    fiber->run = run;
    fiber->arg = arg;
    prepare(fiber);
    return enter(fiber) ? fiber : NULL;
}

struct fiber *fiber_self(void)
{
    return current;
}

void fiber_wait(void)
{
    require(current != NULL, "waiting outside a fiber");
    leave(current, FIBER_WAITING);
}

void fiber_resume(struct fiber *fiber)
{
    require(fiber && fiber->magic == FIBER_MAGIC, "resuming what is no fiber");
    require(fiber->phase == FIBER_WAITING, "resuming a fiber that does not wait");
    enter(fiber);
}
