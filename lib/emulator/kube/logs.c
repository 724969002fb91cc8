#include "emulator/kube/logs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define LOG_CAP ((size_t)1 << 20)

struct log_entry {
    struct log_entry *next;
    char *uid, *container;
    struct buf now, previous;
    bool restarted, waiting;
};

struct pod_logs {
    pthread_mutex_t lock;
    struct log_entry *first;
};

struct pod_logs *pod_logs_new(void)
{
    struct pod_logs *logs = xcalloc(1, sizeof(*logs));

    pthread_mutex_init(&logs->lock, NULL);
    return logs;
}

static void free_entry(struct log_entry *entry)
{
    free(entry->uid);
    free(entry->container);
    buf_clear(&entry->now);
    buf_clear(&entry->previous);
    free(entry);
}

void pod_logs_free(struct pod_logs *logs)
{
    struct log_entry *entry = logs != NULL ? logs->first : NULL;

    while (entry != NULL) {
        struct log_entry *next = entry->next;

        free_entry(entry);
        entry = next;
    }
    if (logs != NULL)
        pthread_mutex_destroy(&logs->lock);
    free(logs);
}

static struct log_entry *find(struct pod_logs *logs, const char *uid, const char *container)
{
    struct log_entry *entry = logs->first;

    while (entry != NULL &&
           (strcmp(entry->uid, uid) != 0 || strcmp(entry->container, container) != 0))
        entry = entry->next;
    return entry;
}

static struct log_entry *need(struct pod_logs *logs, const char *uid, const char *container)
{
    struct log_entry *entry = find(logs, uid, container);

    if (entry != NULL)
        return entry;
    entry = xcalloc(1, sizeof(*entry));
    entry->uid = xstrdup(uid);
    entry->container = xstrdup(container);
    buf_init(&entry->now, LOG_CAP);
    buf_init(&entry->previous, LOG_CAP);
    entry->next = logs->first;
    logs->first = entry;
    return entry;
}

void pod_logs_add(struct pod_logs *logs, const char *uid, const char *container, const char *format,
                  ...)
{
    struct time_text now = time_rfc3339_ms(clock_system.wall_ms(clock_system.arg));
    autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = xvasprintf(format, args);
    va_end(args);
    pthread_mutex_lock(&logs->lock);
    buf_addf(&need(logs, uid, container)->now, "%s %s\n", now.text, line);
    pthread_mutex_unlock(&logs->lock);
}

void pod_logs_restart(struct pod_logs *logs, const char *uid, const char *container)
{
    struct log_entry *entry;

    pthread_mutex_lock(&logs->lock);
    entry = need(logs, uid, container);
    buf_clear(&entry->previous);
    entry->previous = entry->now;
    entry->restarted = true;
    entry->waiting = false;
    buf_init(&entry->now, LOG_CAP);
    pthread_mutex_unlock(&logs->lock);
}

void pod_logs_wait(struct pod_logs *logs, const char *uid, const char *container)
{
    pthread_mutex_lock(&logs->lock);
    need(logs, uid, container)->waiting = true;
    pthread_mutex_unlock(&logs->lock);
}

void pod_logs_forget(struct pod_logs *logs, const char *uid)
{
    struct log_entry **link;

    pthread_mutex_lock(&logs->lock);
    link = &logs->first;
    while (*link != NULL) {
        struct log_entry *entry = *link;

        if (strcmp(entry->uid, uid) == 0) {
            *link = entry->next;
            free_entry(entry);
        } else {
            link = &entry->next;
        }
    }
    pthread_mutex_unlock(&logs->lock);
}

int64_t pod_logs_read(struct pod_logs *logs, const char *uid, const char *container, bool previous,
                      int64_t from, struct buf *out)
{
    const struct log_entry *entry;
    int64_t end = -1;

    pthread_mutex_lock(&logs->lock);
    entry = find(logs, uid, container);
    if (entry != NULL && (!previous || entry->waiting || entry->restarted)) {
        const struct buf *text = previous && !entry->waiting ? &entry->previous : &entry->now;

        end = (int64_t)text->len;
        if (from < end)
            buf_add(out, text->data + from, (size_t)(end - from));
    }
    pthread_mutex_unlock(&logs->lock);
    return end;
}
