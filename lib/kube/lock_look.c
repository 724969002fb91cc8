/* A lock seen from outside. */
#include "lock_state.h"
#include "necoops/kube/lock.h"

#include <string.h>
#include "necoops/base/text.h"

/* The members that others may know of a ticket or a holder. */
static cJSON *person(const cJSON *from)
{
    cJSON *json = json_object();

    json_set_str(json, "name", json_str(from, "name"));
    json_set_str(json, "commit", json_str(from, "commit"));
    json_set_str(json, "branch", json_str(from, "branch"));
    return json;
}

static cJSON *annotated(const cJSON *lease, const char *name)
{
    const cJSON *text =
        cJSON_GetObjectItemCaseSensitive(json_at(lease, "metadata.annotations"), name);
    autoerr struct err ignored = ERR_INIT;
    cJSON *value = NULL;

    if (!cJSON_IsString(text) ||
        json_parse(text->valuestring, strlen(text->valuestring), name, &value, &ignored) < 0) {
        return NULL;
    }
    return value;
}

static cJSON *describe(const cJSON *lease)
{
    cJSON *json = json_object();
    autojson cJSON *holder = annotated(lease, LOCK_HOLDER);
    autojson cJSON *queue = annotated(lease, LOCK_QUEUE);
    const cJSON *ticket;

    if (json_str_or(lease, "spec.holderIdentity", "")[0] != '\0') {
        json_set(json, "holder", person(holder));
        json_set_str(json, "since", json_str(lease, "spec.acquireTime"));
        json_set_str(json, "renewed", json_str(lease, "spec.renewTime"));
    }
    json_set_array(json, "queue");
    cJSON_ArrayForEach(ticket, queue)
    {
        json_push(cJSON_GetObjectItemCaseSensitive(json, "queue"), person(ticket));
    }
    return json;
}

int kube_lock_look(struct kube *kube, const char *space, const char *name, cJSON **out,
                   struct err *err)
{
    autofree char *space_path = url_encode(space);
    autofree char *name_path = url_encode(name);
    autofree char *path =
        xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s", space_path, name_path);
    autofree char *what = xasprintf("lease '%s/%s'", space, name);
    autojson cJSON *lease = NULL;

    if (kube_get(kube, path, what, &lease, err) < 0) {
        if (err->code != ERR_NOT_FOUND) {
            return -1;
        }
        err_clear(err);
        *out = NULL;
        return 0;
    }
    *out = describe(lease);
    return 0;
}
