/* One simulated container: pulled, started, ready; or one of the ways in which that fails. */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/kubelet.h"

#define LONGEST_BACKOFF_MS (300 * 1000)

/* ---- what a container will do ---- */

static bool holds(const cJSON *list, const char *text)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item) && strstr(item->valuestring, text) != NULL)
            return true;
    }
    return false;
}

static bool is_never_pulled(const char *image)
{
    size_t host = strcspn(image, "/");
    const char *slash = strrchr(image, '/');
    const char *tag = strpbrk(slash != NULL ? slash : image, ":@");
    autofree char *registry = xstrndup(image, image[host] == '/' ? host : 0);
    char *port = strchr(registry, ':');

    if (port != NULL)
        *port = '\0';
    return text_ends(registry, ".invalid") ||
           (tag != NULL && strstr(tag, "does-not-exist") != NULL);
}

static bool crashes(const cJSON *spec)
{
    return holds(json_get(spec, "command"), "exit 1") || holds(json_get(spec, "args"), "exit 1") ||
           strstr(json_str_or(spec, "image", ""), "crash-loop") != NULL;
}

static bool is_never_ready(const cJSON *spec)
{
    const cJSON *command = json_at(spec, "readinessProbe.exec.command");

    return json_has_str(command, "false") || json_has_str(command, "/bin/false") ||
           holds(command, "exit 1");
}

static bool is_owned_by_job(const cJSON *pod)
{
    return str_equal(json_str(pod, "metadata.ownerReferences[0].kind"), "Job");
}

/* Pods that may end do, unless they sleep. */
static bool completes(const struct container_run *run)
{
    const cJSON *command = json_get(run->spec, "command");
    const cJSON *args = json_get(run->spec, "args");

    if (run->init)
        return true;
    if (strcmp(json_str_or(run->pod, "spec.restartPolicy", ""), "Always") == 0)
        return false;
    if (is_owned_by_job(run->pod))
        return true;
    return (command != NULL || args != NULL) && !holds(command, "sleep") && !holds(args, "sleep");
}

/* ---- telling ---- */

static const char *uid_of(const struct container_run *run)
{
    return json_str_or(run->pod, "metadata.uid", "");
}

static void tell(const struct container_run *run, const char *type, const char *reason,
                 const char *message)
{
    autofree char *field = xasprintf("spec.%s{%s}", run->init ? "initContainers" : "containers",
                                     json_str_or(run->spec, "name", ""));

    event_record_of(run->ctl, run->pod, field, type, "kubelet", reason, message);
}

/* What `echo` in its command would print. */
static void log_echoes(const struct container_run *run, const cJSON *list)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        const char *at = cJSON_IsString(item) ? strstr(item->valuestring, "echo ") : NULL;

        while (at != NULL) {
            size_t len = strcspn(at + 5, ";&|\n>");
            autofree char *text = xstrndup(at + 5, len);
            char *to = text;

            for (const char *from = text; *from != '\0'; from++) {
                if (*from != '\'' && *from != '"')
                    *to++ = *from;
            }
            while (to > text && to[-1] == ' ')
                to--;
            *to = '\0';
            pod_logs_add(run->ctl->spec.logs, uid_of(run), json_str_or(run->spec, "name", ""), "%s",
                         text);
            at = strstr(at + 5 + len, "echo ");
        }
    }
}

static void log_start(const struct container_run *run, const struct container_state *container)
{
    struct pod_logs *logs = run->ctl->spec.logs;

    if (container->restarts > 0)
        pod_logs_restart(logs, uid_of(run), container->name);
    pod_logs_add(logs, uid_of(run), container->name, "starting %s (image %s)", container->name,
                 json_str_or(run->spec, "image", ""));
    log_echoes(run, json_get(run->spec, "command"));
    log_echoes(run, json_get(run->spec, "args"));
}

/* ---- steps ---- */

static void go(struct container_state *container, enum container_step step)
{
    container->step = step;
    container->since_ms = mono_ms();
}

static void start(const struct container_run *run, struct container_state *container)
{
    const char *image = json_str_or(run->spec, "image", "");
    autofree char *present = xasprintf("Container image \"%s\" already present on machine", image);
    autofree char *pulling = xasprintf("Pulling image \"%s\"", image);
    autofree char *pulled = xasprintf("Successfully pulled image \"%s\"", image);
    autofree char *created = xasprintf("Created container %s", container->name);
    autofree char *started = xasprintf("Started container %s", container->name);
    unsigned char id[32];
    autofree char *hex = NULL;

    if (container->restarts > 0) {
        tell(run, "Normal", "Pulled", present);
    } else {
        tell(run, "Normal", "Pulling", pulling);
        tell(run, "Normal", "Pulled", pulled);
    }
    tell(run, "Normal", "Created", created);
    tell(run, "Normal", "Started", started);
    container->last = container->run;
    container->run = (struct container_times){0};
    random_bytes(id, sizeof(id));
    hex = hex_encode(id, sizeof(id));
    text_copy(container->run.id, sizeof(container->run.id), hex);
    text_copy(container->run.started, sizeof(container->run.started), time_now().text);
    log_start(run, container);
    go(container, CONTAINER_STARTED);
}

static void fail_to_pull(const struct container_run *run, struct container_state *container)
{
    const char *image = json_str_or(run->spec, "image", "");
    autofree char *pulling = xasprintf("Pulling image \"%s\"", image);
    autofree char *failed = xasprintf(
        "Failed to pull image \"%s\": rpc error: code = NotFound desc = failed to pull and unpack "
        "image \"%s\": failed to resolve reference \"%s\": %s: not found",
        image, image, image, image);

    tell(run, "Normal", "Pulling", pulling);
    tell(run, "Warning", "Failed", failed);
    tell(run, "Warning", "Failed", "Error: ErrImagePull");
    container->pulls++;
    go(container, CONTAINER_PULL_FAILED);
}

static void back_off_pulling(const struct container_run *run, struct container_state *container)
{
    autofree char *text =
        xasprintf("Back-off pulling image \"%s\"", json_str_or(run->spec, "image", ""));

    tell(run, "Normal", "BackOff", text);
    tell(run, "Warning", "Failed", "Error: ImagePullBackOff");
    go(container, CONTAINER_PULL_BACKOFF);
}

static void crash(const struct container_run *run, struct container_state *container)
{
    pod_logs_add(run->ctl->spec.logs, uid_of(run), container->name, "fatal: %s exits with status 1",
                 container->name);
    text_copy(container->run.finished, sizeof(container->run.finished), time_now().text);
    go(container, CONTAINER_FAILED);
}

static void back_off(const struct container_run *run, struct container_state *container)
{
    autofree char *text = xasprintf("Back-off restarting failed container %s in pod %s_%s(%s)",
                                    container->name, json_str_or(run->pod, "metadata.name", ""),
                                    json_str_or(run->pod, "metadata.namespace", ""), uid_of(run));

    tell(run, "Warning", "BackOff", text);
    pod_logs_wait(run->ctl->spec.logs, uid_of(run), container->name);
    container->restarts++;
    go(container, CONTAINER_BACKOFF);
}

/* Twice as long each time. */
static int64_t backoff_ms(const struct ctl *ctl, int times)
{
    int64_t ms = ctl->spec.rollout_ms;

    for (int i = 1; i < times && ms < LONGEST_BACKOFF_MS; i++)
        ms *= 2;
    return ms < LONGEST_BACKOFF_MS ? ms : LONGEST_BACKOFF_MS;
}

static void after_start(const struct container_run *run, struct container_state *container)
{
    if (crashes(run->spec)) {
        crash(run, container);
    } else if (completes(run)) {
        pod_logs_add(run->ctl->spec.logs, uid_of(run), container->name, "done");
        text_copy(container->run.finished, sizeof(container->run.finished), time_now().text);
        go(container, CONTAINER_COMPLETED);
    } else if (!is_never_ready(run->spec)) {
        pod_logs_add(run->ctl->spec.logs, uid_of(run), container->name, "ready");
        go(container, CONTAINER_READY);
    } else {
        tell(run, "Warning", "Unhealthy", "Readiness probe failed: ");
        container->since_ms = mono_ms();
    }
}

/* How long a step lasts; CTL_DONE: for good. */
static int64_t duration(const struct container_run *run, const struct container_state *container)
{
    const struct ctl *ctl = run->ctl;

    switch (container->step) {
    case CONTAINER_CREATING:
        return half_rollout(ctl);
    case CONTAINER_STARTED:
        /* A probe that fails is told again now and then. */
        return is_never_ready(run->spec) && !crashes(run->spec) ? ctl->spec.rollout_ms * 10
                                                                : half_rollout(ctl);
    case CONTAINER_PULL_FAILED:
        return ctl->spec.rollout_ms;
    case CONTAINER_PULL_BACKOFF:
        return backoff_ms(ctl, container->pulls + 1);
    case CONTAINER_FAILED:
        return strcmp(json_str_or(run->pod, "spec.restartPolicy", ""), "Never") == 0
                   ? CTL_DONE
                   : half_rollout(ctl);
    case CONTAINER_BACKOFF:
        return backoff_ms(ctl, container->restarts);
    case CONTAINER_READY:
    case CONTAINER_COMPLETED:
        break;
    }
    return CTL_DONE;
}

static void step(const struct container_run *run, struct container_state *container)
{
    switch (container->step) {
    case CONTAINER_CREATING:
    case CONTAINER_PULL_BACKOFF:
        if (is_never_pulled(json_str_or(run->spec, "image", "")))
            fail_to_pull(run, container);
        else
            start(run, container);
        break;
    case CONTAINER_PULL_FAILED:
        back_off_pulling(run, container);
        break;
    case CONTAINER_STARTED:
        after_start(run, container);
        break;
    case CONTAINER_FAILED:
        back_off(run, container);
        break;
    case CONTAINER_BACKOFF:
        start(run, container);
        break;
    case CONTAINER_READY:
    case CONTAINER_COMPLETED:
        break;
    }
}

void container_advance(const struct container_run *run, struct container_state *container,
                       int64_t *wait_ms)
{
    int64_t lasts = duration(run, container);
    int64_t left = container->since_ms + lasts - mono_ms();

    if (lasts != CTL_DONE && left <= 0) {
        step(run, container);
        lasts = duration(run, container);
        left = lasts;
    }
    if (lasts != CTL_DONE && (*wait_ms < 0 || left < *wait_ms))
        *wait_ms = left > 1 ? left : 1;
}
