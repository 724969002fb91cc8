#include "emulator/kube/history.h"

#include <stdlib.h>

void history_init(struct history *history)
{
    *history = (struct history){.items = xcalloc(HISTORY_EVENTS, sizeof(struct change))};
}

static void drop_first(struct history *history)
{
    struct change *change = &history->items[history->start];

    history->floor = change->now->stored.version;
    history->weight -= change->now->weight;
    stored_unref(&change->now->stored);
    if (change->before != NULL)
        stored_unref(&change->before->stored);
    history->start = (history->start + 1) % HISTORY_EVENTS;
    history->len--;
}

void history_clear(struct history *history)
{
    while (history->len > 0)
        drop_first(history);
    free(history->items);
    history->items = NULL;
}

void history_trim(struct history *history, int64_t now_ms)
{
    while (history->len > 0 && now_ms - history->items[history->start].at_ms > HISTORY_MS)
        drop_first(history);
}

void history_add(struct history *history, const struct change *change)
{
    while (history->len == HISTORY_EVENTS ||
           (history->len > 0 && history->weight + change->now->weight > HISTORY_WEIGHT))
        drop_first(history);
    history->items[(history->start + history->len) % HISTORY_EVENTS] = *change;
    history->len++;
    history->weight += change->now->weight;
    history_trim(history, change->at_ms);
}

const struct change *history_at(const struct history *history, size_t index)
{
    return &history->items[(history->start + index) % HISTORY_EVENTS];
}

size_t history_after(const struct history *history, uint64_t version)
{
    size_t low = 0;
    size_t high = history->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (history_at(history, middle)->now->stored.version <= version)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
