#include "emulator/kube/deletion.h"

#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/core.h"

#define POD_GRACE_SECONDS 30

static void add_finalizer(cJSON *meta, const char *name)
{
    cJSON *finalizers = json_need_array(meta, "finalizers");

    if (!json_has_str(finalizers, name))
        json_push_str(finalizers, name);
}

/* Containers take time to end, where there are any. */
static int64_t grace_of(const struct type *type, const cJSON *now, const struct deletion *deletion)
{
    int64_t grace = POD_GRACE_SECONDS;
    const char *phase = json_str_or(now, "status.phase", "");

    if (strcmp(type->resource.kind, "Pod") != 0 || type->resource.group[0] != '\0' ||
        json_at(now, "spec.nodeName") == NULL || strcmp(phase, "Succeeded") == 0 ||
        strcmp(phase, "Failed") == 0)
        return 0;
    json_i64(now, "spec.terminationGracePeriodSeconds", &grace);
    return deletion->grace_seconds >= 0 ? deletion->grace_seconds : grace;
}

static void mark(cJSON *next, int64_t grace)
{
    cJSON *meta = json_get(next, "metadata");
    int64_t at = clock_system.wall_ms(clock_system.arg) + grace * 1000;

    if (json_get(meta, "deletionTimestamp") != NULL)
        return;
    json_set_str(meta, "deletionTimestamp", time_rfc3339(at).text);
    json_set_i64(meta, "deletionGracePeriodSeconds", grace);
}

cJSON *deletion_next(const struct type *type, const cJSON *now, const struct deletion *deletion)
{
    bool is_namespace =
        strcmp(type->resource.kind, "Namespace") == 0 && type->resource.group[0] == '\0';
    int64_t grace = grace_of(type, now, deletion);
    cJSON *next = json_copy(now);
    cJSON *meta = json_get(next, "metadata");

    if (deletion->propagation == PROPAGATE_FOREGROUND && !is_namespace)
        add_finalizer(meta, "foregroundDeletion");
    if (deletion->propagation == PROPAGATE_ORPHAN)
        add_finalizer(meta, "orphan");
    if (cJSON_GetArraySize(json_get(meta, "finalizers")) == 0 && grace == 0 &&
        (!is_namespace || cJSON_GetArraySize(json_at(next, "spec.finalizers")) == 0)) {
        cJSON_Delete(next);
        return NULL;
    }
    mark(next, grace);
    if (deletion->grace_seconds == 0)
        json_set_i64(meta, "deletionGracePeriodSeconds", 0);
    if (is_namespace)
        json_set_str(json_need_object(next, "status"), "phase", "Terminating");
    return next;
}
