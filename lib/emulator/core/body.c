/* See body.h. */
#include "emulator/core/body.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "necoops/base/mem.h"

void body_init(struct body *body, size_t cap)
{
    *body = (struct body){.cap = cap, .fd = -1};
}

static int open_nameless(void)
{
    const char *dir = getenv("TMPDIR");
    if (dir == NULL || dir[0] == '\0')
        dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    /* Not every file system has O_TMPFILE. */
    autofree char *path = xasprintf("%s/necoops-body-XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        data += written;
        len -= (size_t)written;
    }
    return 0;
}

static void add_to_memory(struct body *body, const void *data, size_t len)
{
    if (body->len + len + 1 > body->size) {
        size_t size = body->size ? body->size * 2 : 4096;
        while (size < body->len + len + 1)
            size *= 2;
        body->data = xrealloc(body->data, size);
        body->size = size;
    }
    memcpy(body->data + body->len, data, len);
}

static int move_to_file(struct body *body)
{
    body->fd = open_nameless();
    if (body->fd < 0 || write_all(body->fd, body->data, body->len) < 0)
        return -1;
    free(body->data);
    body->data = NULL;
    body->size = 0;
    return 0;
}

void body_add(struct body *body, const void *data, size_t len)
{
    if (body->refused)
        return;
    if (len > body->cap - body->len) {
        body->refused = true;
        return;
    }
    bool small = body->fd < 0 && body->len + len <= BODY_IN_MEMORY;
    if (small)
        add_to_memory(body, data, len);
    else if ((body->fd < 0 && move_to_file(body) < 0) || write_all(body->fd, data, len) < 0)
        body->refused = true;
    if (!body->refused)
        body->len += len;
}

const char *body_finish(struct body *body)
{
    if (body->refused)
        return NULL;
    if (body->fd < 0) {
        add_to_memory(body, "", 1);
        return body->data;
    }
    void *map = MAP_FAILED;
    if (ftruncate(body->fd, (off_t)body->len + 1) == 0)
        map = mmap(NULL, body->len + 1, PROT_READ, MAP_PRIVATE, body->fd, 0);
    if (map == MAP_FAILED) {
        body->refused = true;
        return NULL;
    }
    body->data = map;
    return body->data;
}

void body_clear(struct body *body)
{
    if (body->fd < 0) {
        free(body->data);
    } else {
        if (body->data != NULL && body->size == 0)
            munmap(body->data, body->len + 1);
        else
            free(body->data);
        close(body->fd);
    }
    body_init(body, body->cap);
}
