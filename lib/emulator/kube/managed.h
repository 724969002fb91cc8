/* Who owns which fields: metadata.managedFields. Internal. */
#ifndef EMULATOR_KUBE_MANAGED_H
#define EMULATOR_KUBE_MANAGED_H

#include "emulator/kube/fieldset.h"
#include "emulator/kube/types.h"

struct manager {
    char *name;
    bool applies; /* operation Apply; otherwise Update */
    char *api_version;
    char *subresource; /* "" for none */
    char *time;
    cJSON *set;
};

struct managers {
    struct manager *items;
    size_t len;
};

void managers_read(struct managers *managers, const cJSON *object);
/* Leaves managers without fields out, and sorts as the API server does. */
void managers_write(const struct managers *managers, cJSON *object);
void managers_clear(struct managers *managers);
/* Made when there is none; borrowed until the next call. */
struct manager *managers_need(struct managers *managers, const char *name, bool applies,
                              const char *api_version, const char *subresource);
/* Gives it this set (taken), and the time of now if that differs from what it had. */
void manager_set(struct manager *manager, cJSON *set);

/* A write that is no apply: what `next` changes of `now` (NULL: it is created) belongs to `name`.
 */
void managed_track(const struct type *type, const cJSON *now, cJSON *next, const char *name,
                   const char *subresource);

#endif
