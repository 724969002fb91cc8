/* Guest attributes: what an instance writes about itself, within limits. */
#include "emulator/google/compute/internal.h"

#include <strings.h>

#define VALUES_LIMIT ((size_t)256 * 1024) /* of all keys and values of an instance */
#define PER_WINDOW   10
#define AT_ONCE      3 /* in a sixtieth of the window: a second of a minute */

enum guest_quota guest_attributes_count(struct compute *compute, struct inside *inside)
{
    int64_t window = emu_config(compute->emu)->timing.guest_attributes_window;
    int64_t now = mono_now();
    /* served[] is a ring: the entry to be overwritten is ten requests old. */
    int64_t tenth = inside->served[inside->served_at % PER_WINDOW];
    int64_t third = inside->served[(inside->served_at + PER_WINDOW - AT_ONCE) % PER_WINDOW];
    bool over = (tenth != 0 && now - tenth < window) || (third != 0 && now - third < window / 60);
    if (over)
        return inside->refused++ % 2 == 0 ? GUEST_DROPPED : GUEST_REFUSED;
    inside->served[inside->served_at++ % PER_WINDOW] = now;
    return GUEST_SERVED;
}

static struct guest_attribute **find(struct inside *inside, const char *space, const char *key)
{
    struct guest_attribute **at = &inside->attributes;
    while (*at != NULL && (strcmp((*at)->space, space) != 0 || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

const char *guest_attribute_get(const struct inside *inside, const char *space, const char *key)
{
    const struct guest_attribute *one = *find((struct inside *)inside, space, key);
    return one != NULL ? one->value : NULL;
}

static void free_one(struct guest_attribute *one)
{
    free(one->space);
    free(one->key);
    free(one->value);
    free(one);
}

static size_t total_size(const struct inside *inside)
{
    size_t total = 0;
    for (const struct guest_attribute *one = inside->attributes; one != NULL; one = one->next)
        total += strlen(one->space) + strlen(one->key) + strlen(one->value);
    return total;
}

int guest_attribute_set(struct inside *inside, const char *space, const char *key,
                        const char *value)
{
    struct guest_attribute **at = find(inside, space, key);
    size_t before = *at != NULL ? strlen((*at)->value) : 0;
    if (value != NULL && total_size(inside) - before + strlen(value) > VALUES_LIMIT)
        return -1;
    if (*at == NULL && value != NULL) {
        struct guest_attribute *one = xcalloc(1, sizeof *one);
        one->space = xstrdup(space);
        one->key = xstrdup(key);
        one->value = xstrdup(value);
        *at = one;
    } else if (*at != NULL && value != NULL) {
        free((*at)->value);
        (*at)->value = xstrdup(value);
    } else if (*at != NULL) {
        struct guest_attribute *gone = *at;
        *at = gone->next;
        free_one(gone);
    }
    return 0;
}

void guest_attributes_free(struct inside *inside)
{
    for (struct guest_attribute *one = inside->attributes, *next; one != NULL; one = next) {
        next = one->next;
        free_one(one);
    }
}

/* The instance's own word wins over the project's. */
bool guest_attributes_enabled(const struct compute *compute, const struct instance *instance)
{
    const char *value = instance_metadata(instance, "enable-guest-attributes");
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, json_at(compute->project_metadata, "items"))
    {
        if (value == NULL && strcmp(json_str_or(item, "key", ""), "enable-guest-attributes") == 0)
            value = json_str(item, "value");
    }
    return value != NULL && strcasecmp(value, "TRUE") == 0;
}

/* ---- instances.getGuestAttributes ---- */

static cJSON *entry(const struct guest_attribute *one)
{
    cJSON *json = json_object();
    json_set_str(json, "namespace", one->space);
    json_set_str(json, "key", one->key);
    json_set_str(json, "value", one->value);
    return json;
}

/* "ns/" and "" are all of it, "ns/key" one. */
static bool selected(const struct guest_attribute *one, const char *path)
{
    const char *slash = strchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : strlen(path);
    if (len == 0)
        return true;
    return strlen(one->space) == len && memcmp(one->space, path, len) == 0 &&
           (slash == NULL || slash[1] == '\0' || strcmp(slash + 1, one->key) == 0);
}

static bool answer_variable(const struct call *call, const struct inside *inside, cJSON *result)
{
    const char *key = request_query(call->request, "variableKey");
    const char *slash = key != NULL ? strchr(key, '/') : NULL;
    if (slash == NULL)
        return false;
    autofree char *space = xstrndup(key, (size_t)(slash - key));
    const char *value = guest_attribute_get(inside, space, slash + 1);
    json_set_str(result, "variableKey", key);
    json_set_str(result, "variableValue", value);
    return value != NULL;
}

static bool answer_path(const struct call *call, const struct inside *inside, cJSON *result)
{
    const char *path = request_query(call->request, "queryPath");
    cJSON *items = json_set_array(json_set_object(result, "queryValue"), "items");
    json_set_str(result, "queryPath", path != NULL ? path : "");
    for (const struct guest_attribute *one = inside->attributes; one != NULL; one = one->next) {
        if (selected(one, path != NULL ? path : ""))
            json_push(items, entry(one));
    }
    return items->child != NULL;
}

void instances_guest_attributes(struct call *call)
{
    struct instance *instance = call_instance(call);
    if (instance == NULL)
        return;
    cJSON *result = json_object();
    json_set_str(result, "kind", "compute#guestAttributes");
    set_link(result, "selfLink", "projects/%s/zones/%s/instances/%s/guestAttributes/",
             call->project, call->zone, instance->name);
    const struct inside *inside = instance_inside(instance);
    bool found = request_query(call->request, "variableKey") != NULL
                     ? answer_variable(call, inside, result)
                     : answer_path(call, inside, result);
    if (found) {
        google_answer(call->request, call->answer, result);
        return;
    }
    cJSON_Delete(result);
    const char *path = request_query(call->request, "queryPath");
    not_found(call->answer, "projects/%s/zones/%s/instances/%s/guestAttributes/%s", call->project,
              call->zone, instance->name, path != NULL ? path : "");
}
