#include "evidence.h"

#include <string.h>
#include "necoops/base/text.h"

#define PODS_MOST   3
#define EVENTS_MOST 3
#define LOG_LINES   10
#define ANSWER_MS   5000
#define AGAIN_MS    250
#define LOG_CAP     BUF_SMALL

static const struct {
    const char *kind, *path;
} workloads[] = {
    {"Deployment", "/apis/apps/v1/namespaces/%s/deployments/%s"},
    {"StatefulSet", "/apis/apps/v1/namespaces/%s/statefulsets/%s"},
    {"DaemonSet", "/apis/apps/v1/namespaces/%s/daemonsets/%s"},
    {"ReplicaSet", "/apis/apps/v1/namespaces/%s/replicasets/%s"},
    {"Job", "/apis/batch/v1/namespaces/%s/jobs/%s"},
    {"Pod", "/api/v1/namespaces/%s/pods/%s"},
};

void findings_clear(struct findings *findings)
{
    for (size_t i = 0; i < findings->len; i++) {
        free(findings->items[i].text);
        free(findings->items[i].container);
    }
    free(findings->items);
    *findings = (struct findings){0};
}

/* Takes `text`. */
static struct finding *add(struct findings *findings, char *text)
{
    findings->items = xrealloc(findings->items, (findings->len + 1) * sizeof(*findings->items));
    findings->items[findings->len] = (struct finding){.text = text};
    return &findings->items[findings->len++];
}

static cJSON *ask(struct kube *kube, const char *path, bool plain)
{
    autoerr struct err ignored = ERR_INIT;
    struct kube_call call = {
        .method = "GET",
        .path = path,
        .plain = plain,
        .idempotent = true,
        .what = "evidence",
        .timeout_ms = ANSWER_MS,
        .retry_ms = -1,
        .cap = plain ? LOG_CAP : 0,
    };
    cJSON *answer = NULL;

    return kube_call(kube, &call, &answer, &ignored) == 0 ? answer : NULL;
}

/* ---- logs ---- */

static cJSON *ask_log(struct kube *kube, const char *space, const char *pod, const char *container,
                      bool previous)
{
    autofree char *space_part = url_encode(space);
    autofree char *pod_part = url_encode(pod);
    autofree char *container_part = url_encode(container);
    autofree char *path =
        xasprintf("/api/v1/namespaces/%s/pods/%s/log?container=%s&tailLines=%d%s", space_part,
                  pod_part, container_part, LOG_LINES, previous ? "&previous=true" : "");
    cJSON *log = ask(kube, path, true);

    if (cJSON_IsString(log) && log->valuestring[0]) {
        return log;
    }
    cJSON_Delete(log);
    return NULL;
}

/* Of the run that ended; when its log is gone already, or not kept yet, what there is of the other
 * one. */
static void add_log(struct kube *kube, const char *space, const char *pod, const char *container,
                    bool previous, struct finding *finding)
{
    autojson cJSON *log = ask_log(kube, space, pod, container, previous);
    char *longer;

    if (!log) {
        log = ask_log(kube, space, pod, container, !previous);
    }
    if (!log) {
        return;
    }
    longer = xasprintf("%s\nlast lines of its log:\n%s", finding->text, log->valuestring);
    free(finding->text);
    finding->text = longer;
}

/* ---- containers ---- */

static bool is_image_reason(const char *reason)
{
    return strstr(reason, "Image") != NULL || strcmp(reason, "ErrImagePull") == 0;
}

/* How its run before this one ended, when it ended badly: "status 137: OOMKilled"; else NULL.
 * Caller frees. */
static char *crash_of(const cJSON *status)
{
    const char *reason = json_str_or(status, "lastState.terminated.reason", "");
    int64_t code = 0;

    if (!json_i64(status, "lastState.terminated.exitCode", &code) || code == 0) {
        return NULL;
    }
    return xasprintf("status %lld%s%s", (long long)code, reason[0] ? ": " : "", reason);
}

static void take_waiting(struct kube *kube, const char *space, const char *pod, const cJSON *status,
                         struct findings *out)
{
    const char *container = json_str_or(status, "name", "");
    const char *reason = json_str_or(status, "state.waiting.reason", "");
    const char *message = json_str_or(status, "state.waiting.message", "");
    autofree char *crash = crash_of(status);
    struct finding *finding;

    if (!reason[0] || strcmp(reason, "ContainerCreating") == 0 ||
        strcmp(reason, "PodInitializing") == 0) {
        return;
    }
    finding =
        add(out, xasprintf("Pod %s/%s, container '%s': %s%s%s%s%s%s", space, pod, container, reason,
                           message[0] ? ": " : "", message, crash ? " (it ended with " : "",
                           crash ? crash : "", crash ? ")" : ""));
    finding->container = xstrdup(container);
    finding->member = is_image_reason(reason) ? "image" : NULL;
    if (strcmp(reason, "CrashLoopBackOff") == 0) {
        add_log(kube, space, pod, container, true, finding);
    }
}

static void take_ended(struct kube *kube, const char *space, const char *pod, const cJSON *status,
                       struct findings *out)
{
    const char *container = json_str_or(status, "name", "");
    const char *reason = json_str_or(status, "state.terminated.reason", "");
    int64_t code = 0;
    struct finding *finding;

    if (!json_i64(status, "state.terminated.exitCode", &code) || code == 0) {
        return;
    }
    finding = add(out, xasprintf("Pod %s/%s, container '%s' ended with status %lld%s%s", space, pod,
                                 container, (long long)code, reason[0] ? ": " : "", reason));
    finding->container = xstrdup(container);
    add_log(kube, space, pod, container, false, finding);
}

/* Between two crashes a container runs, for a moment, as if nothing were wrong with it. */
static void take_restarted(struct kube *kube, const char *space, const char *pod,
                           const cJSON *status, struct findings *out)
{
    const char *container = json_str_or(status, "name", "");
    autofree char *crash = crash_of(status);
    int64_t restarts = 0;
    struct finding *finding;

    if (!json_at(status, "state.running") || !crash) {
        return;
    }
    json_i64(status, "restartCount", &restarts);
    finding = add(out, xasprintf("Pod %s/%s, container '%s' runs again after it ended with %s "
                                 "(restarts: %lld)",
                                 space, pod, container, crash, (long long)restarts));
    finding->container = xstrdup(container);
    add_log(kube, space, pod, container, true, finding);
}

static void take_containers(struct kube *kube, const char *space, const char *pod,
                            const cJSON *statuses, struct findings *out)
{
    const cJSON *status;

    cJSON_ArrayForEach(status, statuses)
    {
        take_waiting(kube, space, pod, status, out);
        take_ended(kube, space, pod, status, out);
        take_restarted(kube, space, pod, status, out);
    }
}

/* ---- events ---- */

struct events_of {
    const char *kind, *name;
    struct strv texts;
    struct findings *out;
};

static const char *probe_of(const char *message)
{
    if (text_starts(message, "Readiness")) {
        return "readinessProbe";
    }
    if (text_starts(message, "Liveness")) {
        return "livenessProbe";
    }
    return text_starts(message, "Startup") ? "startupProbe" : NULL;
}

/* The name of a pod or replica set begins with that of what made it. */
static bool concerns(const struct events_of *of, const cJSON *event)
{
    const char *name = json_str_or(event, "involvedObject.name", "");
    size_t len = strlen(of->name);

    return strncmp(name, of->name, len) == 0 && (name[len] == '\0' || name[len] == '-');
}

/* What the container's own state says as well, and better. */
static bool says_nothing(const char *message)
{
    return text_starts(message, "Error: ") || text_starts(message, "Back-off ");
}

static int take_event(void *arg, const cJSON *event, struct err *err)
{
    struct events_of *of = arg;
    const char *message = json_str_or(event, "message", "");
    const char *path = json_str_or(event, "involvedObject.fieldPath", "");
    struct finding *finding;

    (void)err;
    if (strcmp(json_str_or(event, "type", ""), "Warning") != 0 || !concerns(of, event) ||
        says_nothing(message) || of->texts.len == EVENTS_MOST || strv_has(&of->texts, message)) {
        return 0;
    }
    strv_add(&of->texts, message);
    finding =
        add(of->out, xasprintf("%s %s/%s: %s: %s", json_str_or(event, "involvedObject.kind", ""),
                               json_str_or(event, "involvedObject.namespace", ""),
                               json_str_or(event, "involvedObject.name", ""),
                               json_str_or(event, "reason", ""), message));
    finding->member = probe_of(message);
    const char *brace = strchr(path, '{'); /* "spec.containers{web}", or initContainers */
    if (brace) {
        finding->container = xstrndup(brace + 1, strcspn(brace + 1, "}"));
    }
    return 0;
}

static void take_events(struct kube *kube, const char *space, const char *name,
                        struct findings *out)
{
    autofree char *space_part = url_encode(space);
    autofree char *path =
        xasprintf("/api/v1/namespaces/%s/events?fieldSelector=type%%3DWarning", space_part);
    autoerr struct err ignored = ERR_INIT;
    struct events_of of = {.name = name, .out = out};

    (void)!kube_list(kube, path, "events", take_event, &of, NULL, &ignored);
    strv_clear(&of.texts);
}

/* ---- pods ---- */

static bool is_ready(const cJSON *pod)
{
    const cJSON *condition;

    if (strcmp(json_str_or(pod, "status.phase", ""), "Succeeded") == 0) {
        return true;
    }
    cJSON_ArrayForEach(condition, json_at(pod, "status.conditions"))
    {
        if (strcmp(json_str_or(condition, "type", ""), "Ready") == 0) {
            return strcmp(json_str_or(condition, "status", ""), "True") == 0;
        }
    }
    return false;
}

/* The container that asks for resources first; NULL when none does. */
static const char *who_asks(const cJSON *pod)
{
    const cJSON *container;

    cJSON_ArrayForEach(container, json_at(pod, "spec.containers"))
    {
        if (json_at(container, "resources.requests") || json_at(container, "resources.limits")) {
            return json_str(container, "name");
        }
    }
    return NULL;
}

static void take_conditions(const char *space, const cJSON *pod, struct findings *out)
{
    const cJSON *condition;

    cJSON_ArrayForEach(condition, json_at(pod, "status.conditions"))
    {
        if (strcmp(json_str_or(condition, "type", ""), "PodScheduled") == 0 &&
            strcmp(json_str_or(condition, "status", ""), "False") == 0) {
            const char *message = json_str_or(condition, "message", "");
            struct finding *finding = add(
                out, xasprintf("Pod %s/%s: %s: %s", space, json_str_or(pod, "metadata.name", ""),
                               json_str_or(condition, "reason", "not scheduled"), message));
            const char *asks = strstr(message, "Insufficient ") ? who_asks(pod) : NULL;

            if (asks) {
                finding->container = xstrdup(asks);
                finding->member = "resources";
            }
        }
    }
}

static bool has_crashed(const cJSON *pod)
{
    const cJSON *status;

    cJSON_ArrayForEach(status, json_at(pod, "status.containerStatuses"))
    {
        autofree char *crash = crash_of(status);

        if (crash) {
            return true;
        }
    }
    return false;
}

/* A pod without a readiness probe counts as ready between two crashes. */
struct pods_of {
    cJSON *unready, *crashed;
};

static void keep(cJSON *pods, const cJSON *pod)
{
    if (cJSON_GetArraySize(pods) < PODS_MOST) {
        json_push(pods, json_copy(pod));
    }
}

static int keep_pod(void *arg, const cJSON *pod, struct err *err)
{
    struct pods_of *of = arg;

    (void)err;
    if (!is_ready(pod)) {
        keep(of->unready, pod);
    } else if (has_crashed(pod)) {
        keep(of->crashed, pod);
    }
    return 0;
}

static void take_pod(struct kube *kube, const char *space, const cJSON *pod, struct findings *out)
{
    const char *name = json_str_or(pod, "metadata.name", "");

    take_conditions(space, pod, out);
    take_containers(kube, space, name, json_at(pod, "status.initContainerStatuses"), out);
    take_containers(kube, space, name, json_at(pod, "status.containerStatuses"), out);
}

/* "a=b,c=d" of the workload's selector; NULL when it has none. */
static char *selector_of(const cJSON *workload)
{
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    const cJSON *label;

    cJSON_ArrayForEach(label, json_at(workload, "spec.selector.matchLabels"))
    {
        if (cJSON_IsString(label)) {
            buf_addf(&text, "%s%s=%s", text.len ? "," : "", label->string, label->valuestring);
        }
    }
    return text.len ? buf_steal(&text) : NULL;
}

static void list_pods(struct kube *kube, const char *space, const cJSON *workload,
                      struct pods_of *of)
{
    autofree char *selector = selector_of(workload);
    autofree char *space_part = url_encode(space);
    autoerr struct err ignored = ERR_INIT;

    if (selector) {
        autofree char *coded = url_encode(selector);
        autofree char *path =
            xasprintf("/api/v1/namespaces/%s/pods?labelSelector=%s", space_part, coded);

        (void)!kube_list(kube, path, "pods", keep_pod, of, NULL, &ignored);
    }
}

static void take_pods(struct kube *kube, const char *space, const cJSON *workload,
                      struct findings *out)
{
    autojson cJSON *unready = json_array();
    autojson cJSON *crashed = json_array();
    struct pods_of of = {unready, crashed};
    const cJSON *pod;

    list_pods(kube, space, workload, &of);
    const cJSON *sick = unready->child ? unready : crashed;
    cJSON_ArrayForEach(pod, sick)
    {
        take_pod(kube, space, pod, out);
    }
}

static const char *path_of(const char *group, const char *kind)
{
    bool known = !group[0] || strcmp(group, "apps") == 0 || strcmp(group, "batch") == 0;

    for (size_t i = 0; i < ARRAY_LEN(workloads) && known; i++) {
        if (strcmp(workloads[i].kind, kind) == 0) {
            return workloads[i].path;
        }
    }
    return NULL;
}

/* Once; true when the object is there, and something that runs it should be. */
static bool look(struct kube *kube, const char *kind, const char *path, const char *space,
                 const char *name, struct findings *out)
{
    autojson cJSON *object = ask(kube, path, false);

    if (object && strcmp(kind, "Pod") == 0) {
        take_pod(kube, space, object, out);
    } else if (object) {
        take_pods(kube, space, object, out);
    }
    take_events(kube, space, name, out);
    return object != NULL;
}

static char *object_path(const char *group, const char *kind, const char *space, const char *name)
{
    const char *format = space[0] ? path_of(group, kind) : NULL;
    autofree char *space_part = url_encode(space);
    autofree char *name_part = url_encode(name);

    return format ? xasprintf(format, space_part, name_part) : NULL;
}

void evidence_find(const struct evidence_source *source, const char *group, const char *kind,
                   const char *space, const char *name, struct findings *out)
{
    autofree char *path = object_path(group, kind, space, name);
    autoerr struct err ignored = ERR_INIT;

    if (!group[0] && strcmp(kind, "Namespace") == 0) {
        evidence_of_namespace(source->kube, name, out);
    }
    if (!path) {
        return;
    }
    /* Pods are being replaced or made just now: a moment later there is something to be seen. */
    while (look(source->kube, kind, path, space, name, out) && out->len == 0 &&
           *source->patience_ms > 0) {
        *source->patience_ms -= AGAIN_MS;
        if (run_sleep(source->run, AGAIN_MS, "evidence", &ignored) != 0) {
            return;
        }
    }
}

/* ---- what is final ---- */

static char *image_trouble(const cJSON *pod)
{
    static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
    const cJSON *status;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        cJSON_ArrayForEach(status, json_at(pod, lists[i]))
        {
            const char *reason = json_str_or(status, "state.waiting.reason", "");
            const char *message = json_str_or(status, "state.waiting.message", "");

            if (is_image_reason(reason)) {
                return xasprintf(
                    "container '%s' of pod '%s' cannot get its image '%s': %s%s%s",
                    json_str_or(status, "name", ""), json_str_or(pod, "metadata.name", ""),
                    json_str_or(status, "image", ""), reason, message[0] ? ": " : "", message);
            }
        }
    }
    return NULL;
}

/* Its pods are not even made: a quota, a webhook, a service account that is missing. A deadline
 * does not see that when only the number of replicas changed. */
static char *refused_pods(const cJSON *workload)
{
    const cJSON *condition;

    cJSON_ArrayForEach(condition, json_at(workload, "status.conditions"))
    {
        if (strcmp(json_str_or(condition, "type", ""), "ReplicaFailure") == 0 &&
            strcmp(json_str_or(condition, "status", ""), "True") == 0) {
            return xasprintf("%s: %s", json_str_or(condition, "reason", "ReplicaFailure"),
                             json_str_or(condition, "message", ""));
        }
    }
    return NULL;
}

char *evidence_of_hopeless(struct kube *kube, const char *group, const char *kind,
                           const char *space, const char *name)
{
    autofree char *path = object_path(group, kind, space, name);
    autojson cJSON *unready = json_array();
    autojson cJSON *crashed = json_array();
    struct pods_of of = {unready, crashed};
    autojson cJSON *object = path ? ask(kube, path, false) : NULL;
    autofree char *text = NULL;
    const cJSON *pod;

    if (object && strcmp(kind, "Pod") == 0) {
        json_push(unready, json_copy(object));
    } else if (object) {
        list_pods(kube, space, object, &of);
    }
    text = refused_pods(object);
    if (text) {
        return xasprintf("%s %s/%s: %s", kind, space, name, text);
    }
    cJSON_ArrayForEach(pod, unready)
    {
        autofree char *trouble =
            json_at(pod, "metadata.deletionTimestamp") ? NULL : image_trouble(pod);

        if (trouble) {
            return xasprintf("%s %s/%s: %s", kind, space, name, trouble);
        }
    }
    return NULL;
}

/* ---- namespaces ---- */

void evidence_of_namespace(struct kube *kube, const char *name, struct findings *out)
{
    autofree char *coded = url_encode(name);
    autofree char *path = xasprintf("/api/v1/namespaces/%s", coded);
    autojson cJSON *object = ask(kube, path, false);
    const cJSON *condition;

    if (strcmp(json_str_or(object, "status.phase", ""), "Terminating") != 0) {
        return;
    }
    add(out, xasprintf("Namespace %s is being deleted since %s", name,
                       json_str_or(object, "metadata.deletionTimestamp", "an unknown time")));
    cJSON_ArrayForEach(condition, json_at(object, "status.conditions"))
    {
        if (strcmp(json_str_or(condition, "status", ""), "True") == 0) {
            add(out, xasprintf("Namespace %s: %s: %s", name, json_str_or(condition, "type", ""),
                               json_str_or(condition, "message", "")));
        }
    }
}
