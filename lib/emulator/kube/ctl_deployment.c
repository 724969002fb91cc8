/* Deployments: one ReplicaSet for each template, rolled from the old to the new. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/ctl.h"

#define REVISION  "deployment.kubernetes.io/revision"
#define HASH      "pod-template-hash"
#define COMPONENT "deployment-controller"

struct rollout {
    struct ctl *ctl;
    const struct resource *resource, *sets_resource;
    const cJSON *deployment;
    struct stored **sets;
    const struct stored *fresh; /* the one of the present template, or NULL */
    int64_t desired;
    int64_t surge, unavailable; /* maxSurge, maxUnavailable */
    int64_t wait_ms;
};

/* "25%" or 1 of `total`. */
static int64_t share(const cJSON *value, int64_t total, bool up)
{
    int64_t percent;

    if (cJSON_IsNumber(value))
        return value->valueint;
    if (!cJSON_IsString(value))
        return 0;
    percent = strtol(value->valuestring, NULL, 10) * total;
    return up ? (percent + 99) / 100 : percent / 100;
}

static void read_limits(struct rollout *rollout)
{
    const cJSON *rolling = json_at(rollout->deployment, "spec.strategy.rollingUpdate");

    rollout->surge = share(json_get(rolling, "maxSurge"), rollout->desired, true);
    rollout->unavailable = share(json_get(rolling, "maxUnavailable"), rollout->desired, false);
    if (rollout->surge == 0 && rollout->unavailable == 0)
        rollout->unavailable = 1;
}

/* ---- ReplicaSets ---- */

static bool same_template(const cJSON *set, const cJSON *deployment)
{
    autojson cJSON *of_set = json_copy_object(json_at(set, "spec.template"));

    cJSON_DeleteItemFromObjectCaseSensitive(json_get(json_get(of_set, "metadata"), "labels"), HASH);
    return json_equal(of_set, json_at(deployment, "spec.template"));
}

static const struct stored *find_fresh(const struct rollout *rollout)
{
    for (size_t i = 0; rollout->sets[i] != NULL; i++) {
        if (same_template(rollout->sets[i]->object, rollout->deployment))
            return rollout->sets[i];
    }
    return NULL;
}

static int64_t revision_of(const cJSON *object)
{
    const char *text = json_key_str(json_at(object, "metadata.annotations"), REVISION);

    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

static int64_t newest_revision(const struct rollout *rollout)
{
    int64_t newest = 0;

    for (size_t i = 0; rollout->sets[i] != NULL; i++) {
        int64_t revision = revision_of(rollout->sets[i]->object);

        newest = revision > newest ? revision : newest;
    }
    return newest;
}

static void set_revision(struct rollout *rollout, const struct resource *resource,
                         const cJSON *object, int64_t revision)
{
    autofree char *text = xasprintf("%lld", (long long)revision);
    cJSON *patch = json_object();

    json_set_str(json_set_object(json_set_object(patch, "metadata"), "annotations"), REVISION,
                 text);
    ctl_merge(rollout->ctl, resource, object, patch);
}

static int64_t sum(const struct rollout *rollout, const char *path)
{
    int64_t total = 0;

    for (size_t i = 0; rollout->sets[i] != NULL; i++)
        total += json_number(rollout->sets[i]->object, path, 0);
    return total;
}

/* How many the new one may have now. */
static int64_t fresh_replicas(const struct rollout *rollout, int64_t has)
{
    int64_t total = sum(rollout, "spec.replicas");
    int64_t room = rollout->desired + rollout->surge - total;
    int64_t wants = rollout->desired - has;

    if (strcmp(json_str_or(rollout->deployment, "spec.strategy.type", ""), "Recreate") == 0)
        return sum(rollout, "status.replicas") > has && rollout->fresh == NULL ? 0
                                                                               : rollout->desired;
    if (wants <= 0)
        return rollout->desired;
    return has + (room < wants ? (room > 0 ? room : 0) : wants);
}

static void scale(struct rollout *rollout, const cJSON *set, int64_t to)
{
    int64_t from = json_number(set, "spec.replicas", 0);
    cJSON *patch;

    if (from == to)
        return;
    patch = json_object();
    json_set_i64(json_set_object(patch, "spec"), "replicas", to);
    ctl_merge(rollout->ctl, rollout->sets_resource, set, patch);
    event_record(rollout->ctl, rollout->deployment, "Normal", COMPONENT, "ScalingReplicaSet",
                 "Scaled %s replica set %s to %lld", to > from ? "up" : "down",
                 json_str_or(set, "metadata.name", ""), (long long)to);
}

static void create_fresh(struct rollout *rollout)
{
    const cJSON *deployment = rollout->deployment;
    const cJSON *pod_template = json_at(deployment, "spec.template");
    struct hash_text hash = template_hash(pod_template);
    autofree char *name =
        xasprintf("%s-%s", json_str_or(deployment, "metadata.name", ""), hash.text);
    autofree char *revision = xasprintf("%lld", (long long)newest_revision(rollout) + 1);
    cJSON *set =
        new_object_of("apps/v1", "ReplicaSet", json_str(deployment, "metadata.namespace"), name);
    cJSON *spec = json_set_object(set, "spec");
    cJSON *own;
    int64_t replicas = fresh_replicas(rollout, 0);
    const cJSON *min_ready = json_at(deployment, "spec.minReadySeconds");

    set_owner(set, deployment);
    json_set_i64(spec, "replicas", replicas);
    if (min_ready != NULL)
        json_set(spec, "minReadySeconds", json_copy(min_ready));
    json_set(spec, "selector", json_copy_object(json_at(deployment, "spec.selector")));
    own = json_set(spec, "template", json_copy(pod_template));
    json_set_str(json_need_object(json_need_object(own, "metadata"), "labels"), HASH, hash.text);
    json_set_str(json_need_object(json_need_object(spec, "selector"), "matchLabels"), HASH,
                 hash.text);
    json_set(json_get(set, "metadata"), "labels",
             json_copy_object(json_at(own, "metadata.labels")));
    json_set_str(json_set_object(json_get(set, "metadata"), "annotations"), REVISION, revision);
    if (!ctl_create(rollout->ctl, set))
        return;
    if (replicas > 0)
        event_record(rollout->ctl, deployment, "Normal", COMPONENT, "ScalingReplicaSet",
                     "Scaled up replica set %s to %lld", name, (long long)replicas);
}

/* ---- the rollout ---- */

/* Old pods go as new ones become available, never below what must be available. */
static void scale_down_old(struct rollout *rollout)
{
    int64_t least = rollout->desired - rollout->unavailable;
    int64_t fresh_wanted = json_number(rollout->fresh->object, "spec.replicas", 0);
    int64_t fresh_available = json_number(rollout->fresh->object, "status.availableReplicas", 0);
    int64_t spare = sum(rollout, "spec.replicas") - least - (fresh_wanted - fresh_available);

    for (size_t i = 0; rollout->sets[i] != NULL; i++) {
        const cJSON *set = rollout->sets[i]->object;
        int64_t has = json_number(set, "spec.replicas", 0);
        int64_t broken = has - json_number(set, "status.availableReplicas", 0);
        int64_t down;

        if (rollout->sets[i] == rollout->fresh || has == 0)
            continue;
        down = has < spare ? has : spare;
        /* Those that do not work are no loss. */
        if (down < broken && spare >= 0)
            down = broken < spare ? broken : (spare > 0 ? spare : 0);
        if (down <= 0)
            continue;
        scale(rollout, set, has - down);
        spare -= down;
    }
}

static void scale_all_old_to_zero(struct rollout *rollout)
{
    for (size_t i = 0; rollout->sets[i] != NULL; i++) {
        if (rollout->sets[i] != rollout->fresh)
            scale(rollout, rollout->sets[i]->object, 0);
    }
}

static void roll(struct rollout *rollout)
{
    bool recreate =
        strcmp(json_str_or(rollout->deployment, "spec.strategy.type", ""), "Recreate") == 0;

    if (recreate)
        scale_all_old_to_zero(rollout);
    if (rollout->fresh == NULL) {
        if (recreate && sum(rollout, "status.replicas") > 0)
            return;
        create_fresh(rollout);
        return;
    }
    scale(rollout, rollout->fresh->object,
          fresh_replicas(rollout, json_number(rollout->fresh->object, "spec.replicas", 0)));
    if (!recreate)
        scale_down_old(rollout);
}

/* A template that was used before becomes the newest revision again. */
static void renew_revision(struct rollout *rollout)
{
    int64_t newest = newest_revision(rollout);
    int64_t own;

    if (rollout->fresh == NULL)
        return;
    own = revision_of(rollout->fresh->object);
    if (own < newest)
        set_revision(rollout, rollout->sets_resource, rollout->fresh->object, own = newest + 1);
    if (revision_of(rollout->deployment) != own)
        set_revision(rollout, rollout->resource, rollout->deployment, own);
}

static void forget_old_revisions(struct rollout *rollout)
{
    int64_t limit = json_number(rollout->deployment, "spec.revisionHistoryLimit", 10);
    int64_t newest = newest_revision(rollout);

    for (size_t i = 0; rollout->sets[i] != NULL; i++) {
        const cJSON *set = rollout->sets[i]->object;

        if (rollout->sets[i] != rollout->fresh && json_number(set, "spec.replicas", 0) == 0 &&
            json_number(set, "status.replicas", 0) == 0 && revision_of(set) < newest - limit)
            ctl_delete(rollout->ctl, rollout->sets_resource, set);
    }
}

/* ---- the status ---- */

static void set_available(const struct rollout *rollout, cJSON *conditions, int64_t available)
{
    if (available >= rollout->desired - rollout->unavailable)
        condition_set(conditions, "Available", "True", "MinimumReplicasAvailable",
                      "Deployment has minimum availability.");
    else
        condition_set(conditions, "Available", "False", "MinimumReplicasUnavailable",
                      "Deployment does not have minimum availability.");
}

static void progress(cJSON *conditions, const char *status, const char *reason, const char *message)
{
    const cJSON *condition = condition_find(conditions, "Progressing");
    bool same = str_equal(json_str(condition, "reason"), reason) &&
                str_equal(json_str(condition, "message"), message);

    condition_set(conditions, "Progressing", status, reason, message);
    if (!same)
        json_set_str((cJSON *)condition_find(conditions, "Progressing"), "lastUpdateTime",
                     time_now().text);
}

static void touch_progress(cJSON *conditions)
{
    cJSON *condition = (cJSON *)condition_find(conditions, "Progressing");

    if (condition != NULL)
        json_set_str(condition, "lastUpdateTime", time_now().text);
}

/* Milliseconds until the rollout counts as stuck, by the last progress; never positive: it is. */
static int64_t until_deadline(const struct rollout *rollout, const cJSON *conditions)
{
    const cJSON *condition = condition_find(conditions, "Progressing");
    int64_t deadline = json_number(rollout->deployment, "spec.progressDeadlineSeconds", 600);
    autoerr struct err err = ERR_INIT;
    int64_t since;

    if (time_parse_rfc3339(json_str_or(condition, "lastUpdateTime", ""), &since, &err) < 0)
        return deadline * 1000;
    return since + deadline * 1000 - clock_system.wall_ms(clock_system.arg);
}

static bool is_complete(const struct rollout *rollout, const cJSON *status)
{
    return json_number(status, "updatedReplicas", 0) == rollout->desired &&
           json_number(status, "replicas", 0) == rollout->desired &&
           json_number(status, "availableReplicas", 0) == rollout->desired;
}

static bool made_progress(const cJSON *before, const cJSON *after)
{
    return json_number(after, "updatedReplicas", 0) > json_number(before, "updatedReplicas", 0) ||
           json_number(after, "readyReplicas", 0) > json_number(before, "readyReplicas", 0) ||
           json_number(after, "availableReplicas", 0) >
               json_number(before, "availableReplicas", 0) ||
           json_number(after, "replicas", 0) - json_number(after, "updatedReplicas", 0) <
               json_number(before, "replicas", 0) - json_number(before, "updatedReplicas", 0);
}

static void set_progressing(struct rollout *rollout, const cJSON *before, cJSON *status)
{
    cJSON *conditions = json_get(status, "conditions");
    const char *name =
        rollout->fresh != NULL ? json_str_or(rollout->fresh->object, "metadata.name", "") : "";
    const cJSON *last = condition_find(conditions, "Progressing");
    autofree char *going = xasprintf("ReplicaSet \"%s\" is progressing.", name);
    autofree char *done = xasprintf("ReplicaSet \"%s\" has successfully progressed.", name);
    autofree char *stuck = xasprintf("ReplicaSet \"%s\" has timed out progressing.", name);
    autofree char *created = xasprintf("Created new replica set \"%s\"", name);
    bool was_done = str_equal(json_str(last, "reason"), "NewReplicaSetAvailable") &&
                    str_equal(json_str(last, "message"), done);
    int64_t left;

    if (rollout->fresh == NULL)
        return;
    if (is_complete(rollout, status) || was_done) {
        progress(conditions, "True", "NewReplicaSetAvailable", done);
        return;
    }
    if (last == NULL || (strstr(json_str_or(last, "message", ""), name) == NULL)) {
        progress(conditions, "True", last == NULL ? "NewReplicaSetCreated" : "ReplicaSetUpdated",
                 last == NULL ? created : going);
    } else if (made_progress(before, status)) {
        progress(conditions, "True", "ReplicaSetUpdated", going);
        touch_progress(conditions);
    }
    left = until_deadline(rollout, conditions);
    if (left <= 0)
        progress(conditions, "False", "ProgressDeadlineExceeded", stuck);
    else if (rollout->wait_ms < 0 || left < rollout->wait_ms)
        rollout->wait_ms = left;
}

static void set_number(cJSON *status, const char *key, int64_t value)
{
    if (value > 0)
        json_set_i64(status, key, value);
}

/* What keeps the new replica set from making its pods is said of the deployment, too. */
static void pass_failure_on(const struct rollout *rollout, cJSON *conditions)
{
    const cJSON *fresh = rollout->fresh != NULL ? rollout->fresh->object : NULL;
    const cJSON *failure = condition_find(json_at(fresh, "status.conditions"), "ReplicaFailure");
    cJSON *before = (cJSON *)condition_find(conditions, "ReplicaFailure");

    if (failure != NULL)
        condition_set(conditions, "ReplicaFailure", "True", json_str_or(failure, "reason", ""),
                      json_str_or(failure, "message", ""));
    else if (before != NULL)
        cJSON_Delete(cJSON_DetachItemViaPointer(conditions, before));
}

static void write_status(struct rollout *rollout)
{
    const cJSON *before = json_get(rollout->deployment, "status");
    const cJSON *fresh = rollout->fresh != NULL ? rollout->fresh->object : NULL;
    cJSON *status = json_object();
    int64_t replicas = sum(rollout, "status.replicas");
    int64_t available = sum(rollout, "status.availableReplicas");
    int64_t missing = sum(rollout, "spec.replicas") - available;
    const cJSON *conditions = json_get(before, "conditions");

    json_set_i64(status, "observedGeneration",
                 json_number(rollout->deployment, "metadata.generation", 0));
    set_number(status, "replicas", replicas);
    set_number(status, "updatedReplicas", json_number(fresh, "status.replicas", 0));
    set_number(status, "readyReplicas", sum(rollout, "status.readyReplicas"));
    set_number(status, "availableReplicas", available);
    set_number(status, "unavailableReplicas", missing);
    json_set(status, "conditions", conditions != NULL ? json_copy(conditions) : json_array());
    set_available(rollout, json_get(status, "conditions"), available);
    if (json_bool(rollout->deployment, "spec.paused", false))
        progress(json_get(status, "conditions"), "Unknown", "DeploymentPaused",
                 "Deployment is paused");
    else
        set_progressing(rollout, before, status);
    pass_failure_on(rollout, json_get(status, "conditions"));
    ctl_set_status(rollout->ctl, rollout->resource, rollout->deployment, status);
}

int64_t ctl_deployment(struct ctl *ctl, const struct resource *resource, const cJSON *deployment)
{
    struct rollout rollout = {
        .ctl = ctl,
        .resource = resource,
        .sets_resource = ctl_resource(ctl, "apps", "replicasets"),
        .deployment = deployment,
        .desired = json_number(deployment, "spec.replicas", 1),
        .wait_ms = CTL_DONE,
    };

    if (is_deleting(deployment))
        return CTL_DONE;
    rollout.sets = ctl_owned(ctl, "apps", "replicasets", deployment);
    rollout.fresh = find_fresh(&rollout);
    read_limits(&rollout);
    if (!json_bool(deployment, "spec.paused", false)) {
        roll(&rollout);
        renew_revision(&rollout);
        forget_old_revisions(&rollout);
    } else if (rollout.fresh != NULL) {
        scale(&rollout, rollout.fresh->object, rollout.desired);
    }
    write_status(&rollout);
    store_list_free(rollout.sets);
    return rollout.wait_ms;
}
