/* Makes every write that would extend a file fail with ENOSPC while the file $FULL_DISK exists.

Preloaded into PostgreSQL (LD_PRELOAD). A full file system behaves the same: blocks that a file has
already can be overwritten, and nothing can grow. Only files below a folder `data` count. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_refused(int fd, off_t end) {
    const char *flag = getenv("FULL_DISK");
    char link[64], path[4096];
    struct stat found;
    ssize_t length;
    if (!flag || access(flag, F_OK) != 0) return 0;
    if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) || end <= found.st_size) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if ((length = readlink(link, path, sizeof path - 1)) < 0) return 0;
    path[length] = 0;
    return strstr(path, "/data/") != NULL;
}

static off_t total(const struct iovec *parts, int count) {
    off_t sum = 0;
    for (int n = 0; n < count; n++) sum += parts[n].iov_len;
    return sum;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE_IF_FULL(fd, end) if (is_refused(fd, end)) { errno = ENOSPC; return -1; }

ssize_t write(int fd, const void *data, size_t size) {
    REFUSE_IF_FULL(fd, lseek(fd, 0, SEEK_CUR) + (off_t)size)
    return REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REFUSE_IF_FULL(fd, at + (off_t)size)
    return REAL(pwrite)(fd, data, size, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    REFUSE_IF_FULL(fd, at + total(parts, count))
    return REAL(pwritev)(fd, parts, count, at);
}
