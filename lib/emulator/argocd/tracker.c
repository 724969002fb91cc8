#include "emulator/argocd/tracker.h"

#include <stdlib.h>
#include <string.h>
#include "emulator/argocd/object.h"
#include "emulator/kube/core.h"

#define BUCKETS 4096

struct entry {
    const struct resource *resource;
    char *space, *name;
    char *app;
    bool claimed;
    struct entry *next_object; /* same bucket by object */
    struct entry *next_app;    /* same bucket by application */
};

struct tracker {
    struct store *store;
    enum tracking_method method;
    char *label;
    struct entry *by_object[BUCKETS];
    struct entry *by_app[BUCKETS];
};

/* FNV-1a */
static uint32_t hash_text(uint32_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619U;
    return (hash ^ 0xff) * 16777619U;
}

static uint32_t hash_object(const struct resource *resource, const char *space, const char *name)
{
    uint32_t hash = hash_text(2166136261U, resource->group);

    hash = hash_text(hash, resource->kind);
    return hash_text(hash_text(hash, space), name) % BUCKETS;
}

static uint32_t hash_app(const char *app)
{
    return hash_text(2166136261U, app) % BUCKETS;
}

struct tracker *tracker_new(struct store *store)
{
    struct tracker *tracker = xcalloc(1, sizeof(*tracker));

    tracker->store = store;
    tracker->label = xstrdup("app.kubernetes.io/instance");
    return tracker;
}

static void entry_free(struct entry *entry)
{
    free(entry->space);
    free(entry->name);
    free(entry->app);
    free(entry);
}

static void clear(struct tracker *tracker)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct entry *next;

        for (struct entry *at = tracker->by_object[i]; at != NULL; at = next) {
            next = at->next_object;
            entry_free(at);
        }
        tracker->by_object[i] = NULL;
        tracker->by_app[i] = NULL;
    }
}

void tracker_free(struct tracker *tracker)
{
    if (tracker == NULL)
        return;
    clear(tracker);
    free(tracker->label);
    free(tracker);
}

/* ---- entries ---- */

/* Where the pointer to the object's entry is: NULL in it when there is none. */
static struct entry **slot_of(struct tracker *tracker, const struct resource *resource,
                              const char *space, const char *name)
{
    struct entry **slot = &tracker->by_object[hash_object(resource, space, name)];

    while (*slot != NULL &&
           (strcmp((*slot)->name, name) != 0 || strcmp((*slot)->space, space) != 0 ||
            strcmp((*slot)->resource->kind, resource->kind) != 0 ||
            strcmp((*slot)->resource->group, resource->group) != 0))
        slot = &(*slot)->next_object;
    return slot;
}

static void drop(struct tracker *tracker, struct entry **slot)
{
    struct entry *entry = *slot;
    struct entry **at = &tracker->by_app[hash_app(entry->app)];

    while (*at != entry)
        at = &(*at)->next_app;
    *at = entry->next_app;
    *slot = entry->next_object;
    entry_free(entry);
}

static void add(struct tracker *tracker, const struct entry *values)
{
    struct entry *entry = xcalloc(1, sizeof(*entry));
    struct entry **by_object =
        &tracker->by_object[hash_object(values->resource, values->space, values->name)];
    struct entry **by_app = &tracker->by_app[hash_app(values->app)];

    entry->resource = values->resource;
    entry->space = xstrdup(values->space);
    entry->name = xstrdup(values->name);
    entry->app = xstrdup(values->app);
    entry->claimed = values->claimed;
    entry->next_object = *by_object;
    *by_object = entry;
    entry->next_app = *by_app;
    *by_app = entry;
}

/* ---- marks ---- */

static bool is_definition(const cJSON *object)
{
    return strcmp(json_str_or(object, "kind", ""), "CustomResourceDefinition") == 0;
}

char *tracker_owner(const struct tracker *tracker, const cJSON *object)
{
    const char *id = object_annotation(object, ANNOTATION_TRACKING);
    const char *label = object_label(object, tracker->label);

    if (tracker->method != TRACK_LABEL)
        return id != NULL ? xstrndup(id, strcspn(id, ":")) : NULL;
    return label != NULL ? xstrdup(label) : NULL;
}

void tracker_mark(const struct tracker *tracker, cJSON *object, const char *app)
{
    struct object_id id = object_id(object);

    if (is_definition(object))
        return;
    if (tracker->method != TRACK_ANNOTATION)
        object_set_label(object, tracker->label, app);
    if (tracker->method != TRACK_LABEL) {
        autofree char *value =
            xasprintf("%s:%s/%s:%s/%s", app, id.group, id.kind, id.space, id.name);

        object_set_annotation(object, ANNOTATION_TRACKING, value);
    }
}

/* What a controller made (or copied labels to) is no part of an application by itself. */
static bool is_derived(const cJSON *object)
{
    const char *kind = json_str_or(object, "kind", "");

    return json_at(object, "metadata.ownerReferences[0]") != NULL ||
           strcmp(kind, "Endpoints") == 0 || strcmp(kind, "EndpointSlice") == 0;
}

static void put(struct tracker *tracker, const struct resource *resource, const cJSON *object,
                tracker_touched touched, void *arg)
{
    struct object_id id = object_id(object);
    struct entry **slot = slot_of(tracker, resource, id.space, id.name);
    autofree char *app = is_derived(object) ? NULL : tracker_owner(tracker, object);
    struct entry values = {resource, (char *)id.space, (char *)id.name, app, false, NULL, NULL};

    if (*slot != NULL && touched != NULL)
        touched(arg, (*slot)->app);
    if (app == NULL) {
        if (*slot != NULL && !(*slot)->claimed)
            drop(tracker, slot);
        return;
    }
    if (*slot != NULL && !(*slot)->claimed && strcmp((*slot)->app, app) == 0)
        return;
    if (*slot != NULL)
        drop(tracker, slot);
    add(tracker, &values);
    if (touched != NULL)
        touched(arg, app);
}

void tracker_event(struct tracker *tracker, const struct store_event *event,
                   tracker_touched touched, void *arg)
{
    struct object_id id = object_id(event->stored->object);
    struct entry **slot;

    if (event->type != STORE_DELETED) {
        put(tracker, event->resource, event->stored->object, touched, arg);
        return;
    }
    slot = slot_of(tracker, event->resource, id.space, id.name);
    if (*slot == NULL)
        return;
    touched(arg, (*slot)->app);
    drop(tracker, slot);
}

void tracker_claim(struct tracker *tracker, const char *app, const struct resource *resource,
                   const char *space, const char *name)
{
    struct entry values = {resource, (char *)space, (char *)name, (char *)app, true, NULL, NULL};

    if (*slot_of(tracker, resource, space, name) == NULL)
        add(tracker, &values);
}

void tracker_load(struct tracker *tracker, enum tracking_method method, const char *label)
{
    size_t len;
    const struct type **kinds = store_kinds(tracker->store, &len);

    clear(tracker);
    tracker->method = method;
    free(tracker->label);
    tracker->label = xstrdup(label);
    for (size_t i = 0; i < len; i++) {
        struct stored **list = store_list(tracker->store, &kinds[i]->resource, NULL, NULL);

        for (size_t j = 0; list[j] != NULL; j++)
            put(tracker, &kinds[i]->resource, list[j]->object, NULL, NULL);
        store_list_free(list);
    }
    free(kinds);
}

struct tracked *tracker_objects(struct tracker *tracker, const char *app, size_t *len)
{
    struct tracked *list = NULL;
    size_t size = 0;

    *len = 0;
    for (struct entry *at = tracker->by_app[hash_app(app)]; at != NULL; at = at->next_app) {
        if (at->claimed || strcmp(at->app, app) != 0)
            continue;
        if (*len == size) {
            size = size > 0 ? size * 2 : 16;
            list = xrealloc(list, size * sizeof(*list));
        }
        list[(*len)++] = (struct tracked){at->resource, at->space, at->name};
    }
    return list;
}
