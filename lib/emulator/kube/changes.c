/* What changed in a store, for who follows it. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "emulator/kube/store_internal.h"

uint64_t store_version(struct store *store)
{
    uint64_t version;

    pthread_mutex_lock(&store->lock);
    version = store->version;
    pthread_mutex_unlock(&store->lock);
    return version;
}

int store_check_version(struct store *store, uint64_t version)
{
    int result;

    pthread_mutex_lock(&store->lock);
    history_trim(&store->history, mono_ms());
    result = version < store->history.floor ? -1 : 0;
    pthread_mutex_unlock(&store->lock);
    return result;
}

static bool in_space(const struct change *change, const char *space)
{
    return space == NULL || space[0] == '\0' || strcmp(change->now->space, space) == 0;
}

static const struct change *next_locked(const struct store *store, uint64_t version,
                                        const struct keyspace *storage, const char *space)
{
    const struct history *history = &store->history;

    for (size_t i = history_after(history, version); i < history->len; i++) {
        const struct change *change = history_at(history, i);

        if ((storage == NULL || change->storage == storage) && in_space(change, space))
            return change;
    }
    return NULL;
}

static struct timespec deadline_after(int64_t ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* The next change, waiting until `until`; NULL when none came. *gone: the history does not reach
 * back far enough. */
static const struct change *await_locked(struct store *store, uint64_t version,
                                         const struct keyspace *storage, const char *space,
                                         const struct timespec *until, bool *gone)
{
    for (;;) {
        const struct change *change;

        *gone = version < store->history.floor;
        if (*gone || store->closed)
            return NULL;
        change = next_locked(store, version, storage, space);
        if (change != NULL)
            return change;
        version = store->version;
        if (pthread_cond_timedwait(&store->changed, &store->lock, until) == ETIMEDOUT)
            return NULL;
    }
}

int store_next_change(struct store *store, uint64_t version, const struct keyspace *storage,
                      const char *space, int64_t ms, struct store_change_event *event)
{
    struct timespec until = deadline_after(ms);
    const struct change *change;
    bool gone;

    pthread_mutex_lock(&store->lock);
    change = await_locked(store, version, storage, space, &until, &gone);
    if (change != NULL) {
        *event = (struct store_change_event){
            .type = change->type,
            .storage = change->storage,
            .resource = &change->storage->hub->resource,
            .now = stored_ref(&change->now->stored),
            .before = change->before != NULL ? stored_ref(&change->before->stored) : NULL,
        };
    }
    pthread_mutex_unlock(&store->lock);
    return gone ? -1 : change != NULL;
}

int store_next(struct store *store, uint64_t version, const struct resource *resource,
               const char *space, int64_t ms, struct store_event *event)
{
    const struct keyspace *storage = resource != NULL ? type_of(resource)->storage : NULL;
    struct store_change_event change;
    int found = store_next_change(store, version, storage, space, ms, &change);

    if (found <= 0)
        return found;
    stored_unref(change.before);
    event->type = change.type;
    event->resource = resource != NULL ? resource : change.resource;
    event->stored = in_version(type_of(event->resource), change.now);
    return 1;
}

void store_close(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    store->closed = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

bool store_closed(struct store *store)
{
    bool closed;

    pthread_mutex_lock(&store->lock);
    closed = store->closed;
    pthread_mutex_unlock(&store->lock);
    return closed;
}
