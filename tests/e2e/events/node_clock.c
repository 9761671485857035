/* The wall clock of a process that has this preloaded: moved by the seconds that a file holds, a long, at any moment.
   Nothing else is moved, as when a clock is set: libfaketime, told to leave monotonic time alone, fails sleeps. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static int (*kernels)(clockid_t, struct timespec *);
static const volatile long *offset;

__attribute__((constructor)) static void begin(void) {
    static const volatile long none = 0;
    const char *path = getenv("SKERRY_CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *shared = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    offset = shared == MAP_FAILED ? &none : shared;
    kernels = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!kernels) begin(); /* called by a constructor before ours */
    int failed = kernels(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec read;
    int failed = clock_gettime(CLOCK_REALTIME, &read);
    if (!failed) *now = (struct timeval){read.tv_sec, read.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *now) {
    struct timespec read;
    if (clock_gettime(CLOCK_REALTIME, &read)) return -1;
    if (now) *now = read.tv_sec;
    return read.tv_sec;
}
