#include "yaml/marks.h"

#include <stdlib.h>
#include "necoops/base/mem.h"

static size_t slot_of(const struct marks *marks, const void *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(hash >> 20) & (marks->size - 1);
    while (marks->slots[at].key && marks->slots[at].key != key)
        at = (at + 1) & (marks->size - 1);
    return at;
}

static void grow(struct marks *marks)
{
    struct marks larger = {.size = marks->size ? marks->size * 2 : 64};
    larger.slots = xcalloc(larger.size, sizeof *larger.slots);
    for (size_t i = 0; i < marks->size; i++) {
        if (marks->slots[i].key)
            larger.slots[slot_of(&larger, marks->slots[i].key)] = marks->slots[i];
    }
    larger.count = marks->count;
    free(marks->slots);
    *marks = larger;
}

void marks_put(struct marks *marks, const void *key, int line, int column)
{
    if (marks->count * 2 >= marks->size)
        grow(marks);
    struct mark *slot = &marks->slots[slot_of(marks, key)];
    if (!slot->key)
        marks->count++;
    *slot = (struct mark){.key = key, .line = line, .column = column};
}

const struct mark *marks_get(const struct marks *marks, const void *key)
{
    if (marks->size == 0)
        return NULL;
    const struct mark *slot = &marks->slots[slot_of(marks, key)];
    return slot->key ? slot : NULL;
}

void marks_clear(struct marks *marks)
{
    free(marks->slots);
    *marks = (struct marks){.slots = NULL};
}
