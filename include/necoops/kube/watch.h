/* A list and then a watch of one collection, kept up for as long as it is wanted: what client-go
 * calls a reflector. One connection of its own; one object in memory at a time.
 *
 * After the list each object is handed over with `object`, then `synced` is called once. Changes
 * follow as they come. A watch that ends, is cut or whose version is too old (410, as a status or
 * as an event) is taken up again, by a new list where needed: objects that vanished meanwhile are
 * handed over as deleted. While the server does not answer, it is tried again with back-off,
 * without end; kube_watch_trouble tells. Only an answer that trying again cannot cure (denied, not
 * found, invalid) ends it, with `failed`. Handlers are called from http_drive.
 */
#ifndef NECOOPS_KUBE_WATCH_H
#define NECOOPS_KUBE_WATCH_H

#include "necoops/kube/client.h"

struct kube_watch; /* opaque */

struct kube_watch_handler {
    void (*object)(void *arg, const cJSON *object); /* added or changed; borrowed */
    void (*deleted)(void *arg, const char *space, const char *name);
    void (*synced)(void *arg); /* the first list is complete */
    void (*failed)(void *arg, struct err *err);
    void *arg;
};

/* `path` is that of the collection, without a query; `selector` (optional) goes into
 * labelSelector. */
struct kube_watch *kube_watch_start(struct kube *kube, const char *path, const char *selector,
                                    const char *what, const struct kube_watch_handler *handler);
void kube_watch_free(struct kube_watch *watch);
/* Milliseconds until the watch wants to be moved on by kube_watch_tick (a restart that is due), at
 * most `at_most`. */
int64_t kube_watch_due_ms(const struct kube_watch *watch, int64_t at_most);
/* Starts what is due; call it around http_drive. */
void kube_watch_tick(struct kube_watch *watch);
/* Why nothing comes at the moment ("the API server … does not answer: …"), or NULL. Borrowed. */
const char *kube_watch_trouble(const struct kube_watch *watch);

#endif
