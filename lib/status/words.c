/* What a status says, wherever it is said. */
#include "internal.h"

#include <string.h>
#include "necoops/base/timefmt.h"

int64_t status_time_at(const cJSON *value, const char *path)
{
    autoerr struct err ignored = ERR_INIT;
    int64_t ms;
    return time_parse_rfc3339(json_str_or(value, path, ""), &ms, &ignored) == 0 ? ms : -1;
}

char *status_moment(const struct schedule *schedule, int64_t now, int64_t at)
{
    autofree char *when = schedule_time_text(schedule, at);
    int64_t away = (at > now ? at - now : now - at) / 1000 * 1000;
    return xasprintf("%s (%s%s%s)", when, at > now ? "in " : "", duration_format(away).text,
                     at > now ? "" : " ago");
}

char *status_clock_text(const struct schedule *schedule, const cJSON *entry)
{
    int64_t at = status_time_at(entry, "time");
    if (at < 0)
        return xstrdup(json_str_or(entry, "time", ""));
    autofree char *whole = schedule_time_text(schedule, at);
    return xasprintf("%.5s:%02d", strlen(whole) > 20 ? whole + 15 : whole, (int)(at / 1000 % 60));
}

char *status_instance_text(const cJSON *instance)
{
    return xasprintf("%s (%s) in %s: %s", json_str_or(instance, "name", ""),
                     json_str_or(instance, "id", ""), json_str_or(instance, "zone", ""),
                     json_str_or(instance, "status", ""));
}

char *status_machine_text(const cJSON *instance)
{
    return xasprintf("%s, %s", json_str_or(instance, "machineType", ""),
                     json_str_or(instance, "provisioningModel", "STANDARD"));
}

char *status_cluster_text(const cJSON *cluster)
{
    const cJSON *node;
    int ready = 0, count = cJSON_GetArraySize(json_at(cluster, "nodes"));
    autostrv struct strv waiting = STRV_INIT;
    cJSON_ArrayForEach(node, json_at(cluster, "nodes"))
    {
        if (json_bool(node, "ready", false))
            ready++;
        else
            strv_add(&waiting, json_str_or(node, "name", ""));
    }
    autofree char *missing = waiting.len ? strv_join(&waiting, ", ") : NULL;
    return xasprintf("Kubernetes %s at %s, %d of %d nodes ready%s%s",
                     json_str_or(cluster, "version", "?"), json_str_or(cluster, "server", ""),
                     ready, count, missing ? ", not yet: " : "", missing ? missing : "");
}

char *status_lease_text(const cJSON *lease)
{
    const char *commit = json_str(lease, "holder.commit");
    if (!json_at(lease, "holder"))
        return xstrdup("nobody holds it");
    return xasprintf("%s%s%.12s since %s, renewed %s",
                     json_str_or(lease, "holder.name", "somebody"), commit ? ", commit " : "",
                     commit ? commit : "", json_str_or(lease, "since", "?"),
                     json_str_or(lease, "renewed", "?"));
}

char *status_event_detail(const cJSON *entry)
{
    const char *error = json_str(entry, "error"), *by = json_str(entry, "by");
    if (error)
        return xasprintf("in %s by %s: %s", json_str_or(entry, "zone", ""), by ? by : "?", error);
    if (by)
        return xasprintf("in %s by %s", json_str_or(entry, "zone", ""), by);
    return xstrdup(json_str_or(entry, "message", ""));
}

enum status_mood status_app_mood(const cJSON *app)
{
    const char *sync = json_str_or(app, "sync", ""), *health = json_str_or(app, "health", "");
    if (strcmp(health, "Degraded") == 0 || strcmp(health, "Missing") == 0)
        return MOOD_BAD;
    return strcmp(sync, "Synced") == 0 && strcmp(health, "Healthy") == 0 ? MOOD_GOOD : MOOD_WAIT;
}

enum status_mood status_event_mood(const cJSON *entry)
{
    const char *event = json_str_or(entry, "event", "");
    if (json_str(entry, "error") || strcmp(event, "phase failed") == 0)
        return MOOD_BAD;
    return strcmp(event, "phase ready") == 0 ? MOOD_GOOD : MOOD_PLAIN;
}
