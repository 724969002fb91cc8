/* The body of a request while it comes in: in memory while it is small, then in a file without a
 * name, so that uploads of any size are taken with little memory. */
#ifndef EMULATOR_CORE_BODY_H
#define EMULATOR_CORE_BODY_H

#include <stdbool.h>
#include <stddef.h>

#define BODY_IN_MEMORY ((size_t)4 << 20)

struct body {
    size_t cap;
    size_t len;
    bool refused; /* larger than the cap, or no room for it */
    char *data;   /* memory, or the mapped file after body_finish */
    size_t size;  /* of the memory */
    int fd;       /* -1: in memory */
};

void body_init(struct body *body, size_t cap);
void body_add(struct body *body, const void *data, size_t len);
/* The whole of it, NUL-terminated, `len` bytes; until body_clear. NULL when it was refused. */
const char *body_finish(struct body *body);
void body_clear(struct body *body);

#endif
