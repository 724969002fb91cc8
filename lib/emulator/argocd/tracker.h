/* Which live objects belong to which application: by the label (or annotation) that Argo CD puts on
 * what it applies. Kept up to date from the store's events. For one thread. */
#ifndef EMULATOR_ARGOCD_TRACKER_H
#define EMULATOR_ARGOCD_TRACKER_H

#include "emulator/kube/store.h"

/* application.resourceTrackingMethod of argocd-cm */
enum tracking_method { TRACK_LABEL, TRACK_ANNOTATION, TRACK_BOTH };

struct tracker;
struct tracker *tracker_new(struct store *store);
void tracker_free(struct tracker *tracker);
/* Reads every object anew; after a change of the method, or when events were lost. */
void tracker_load(struct tracker *tracker, enum tracking_method method, const char *label);

/* Calls `touched` for each application that the changed object belonged or belongs to. */
typedef void (*tracker_touched)(void *arg, const char *app);
void tracker_event(struct tracker *tracker, const struct store_event *event,
                   tracker_touched touched, void *arg);

/* An object that is compared for an application though it carries no mark (a CRD has none): its
 * changes touch the application, but it never counts as left over. */
void tracker_claim(struct tracker *tracker, const char *app, const struct resource *resource,
                   const char *space, const char *name);

struct tracked {
    const struct resource *resource;
    const char *space, *name;
};
/* The marked objects of an application; the array is the caller's, what is in it is borrowed until
 * the next event. */
struct tracked *tracker_objects(struct tracker *tracker, const char *app, size_t *len);

/* The application that an object is marked for, or NULL; caller frees. */
char *tracker_owner(const struct tracker *tracker, const cJSON *object);
/* Marks an object about to be applied. CustomResourceDefinitions are never marked. */
void tracker_mark(const struct tracker *tracker, cJSON *object, const char *app);

#endif
