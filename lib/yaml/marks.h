/* Where values stood: a hash map from the address of a value to its line and column. */
#ifndef YAML_MARKS_H
#define YAML_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mark {
    const void *key;
    int32_t line, column;
};

struct marks {
    struct mark *slots;
    size_t count, size; /* size is a power of two, or 0 */
};

void marks_put(struct marks *marks, const void *key, int line, int column);
const struct mark *marks_get(const struct marks *marks, const void *key);
void marks_clear(struct marks *marks);

#endif
