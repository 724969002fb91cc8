#include "lock_state.h"

#include <string.h>
#include "necoops/base/timefmt.h"

void lock_me_clear(struct lock_me *me)
{
    free(me->id);
    free(me->name);
    free(me->commit);
    free(me->branch);
    *me = (struct lock_me){0};
}

/* ---- annotations ---- */

/* The annotation's JSON, or NULL when it is missing or no such thing. */
static cJSON *annotation(const cJSON *lease, const char *name)
{
    const cJSON *text =
        cJSON_GetObjectItemCaseSensitive(json_at(lease, "metadata.annotations"), name);
    autoerr struct err ignored = ERR_INIT;
    cJSON *value = NULL;

    if (!cJSON_IsString(text) ||
        json_parse(text->valuestring, strlen(text->valuestring), name, &value, &ignored) != 0) {
        return NULL;
    }
    return value;
}

static cJSON *member_object(cJSON *object, const char *name)
{
    cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsObject(member) ? member : json_set_object(object, name);
}

static void annotate(cJSON *lease, const char *name, const cJSON *value)
{
    cJSON *annotations = member_object(member_object(lease, "metadata"), "annotations");
    autofree char *text = json_print(value);

    json_set_str(annotations, name, text);
}

static cJSON *queue_of(const cJSON *lease)
{
    cJSON *queue = annotation(lease, LOCK_QUEUE);

    if (!cJSON_IsArray(queue)) {
        cJSON_Delete(queue);
        queue = json_array();
    }
    return queue;
}

static const char *id_of(const cJSON *ticket)
{
    return json_str_or(ticket, "id", "");
}

/* ---- memory ---- */

static cJSON *remembered_ticket(const cJSON *before, const cJSON *ticket, int64_t now)
{
    const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, id_of(ticket));
    cJSON *entry = json_object();
    int64_t beat = 0, old_beat = -1, since = now;

    (void)json_i64(ticket, "beat", &beat);
    if (json_i64(old, "beat", &old_beat) && old_beat == beat) {
        (void)json_i64(old, "since", &since);
    }
    json_set_i64(entry, "beat", beat);
    json_set_i64(entry, "since", since);
    return entry;
}

void lock_remember(struct lock_memory *memory, const cJSON *lease, int64_t now)
{
    autojson cJSON *queue = queue_of(lease);
    autofree char *holder = xasprintf("%s %s", json_str_or(lease, "spec.holderIdentity", ""),
                                      json_str_or(lease, "spec.renewTime", ""));
    cJSON *tickets = json_object();
    const cJSON *ticket;

    if (!memory->holder || strcmp(memory->holder, holder) != 0) {
        free(memory->holder);
        memory->holder = steal(holder);
        memory->holder_since = now;
    }
    cJSON_ArrayForEach(ticket, queue)
    {
        if (id_of(ticket)[0]) {
            json_set(tickets, id_of(ticket), remembered_ticket(memory->tickets, ticket, now));
        }
    }
    cJSON_Delete(memory->tickets);
    memory->tickets = tickets;
}

void lock_memory_clear(struct lock_memory *memory)
{
    free(memory->holder);
    cJSON_Delete(memory->tickets);
    *memory = (struct lock_memory){0};
}

static bool holder_lives(const cJSON *lease, const struct lock_memory *memory, int64_t now)
{
    return json_str_or(lease, "spec.holderIdentity", "")[0] &&
           now - memory->holder_since < LOCK_HOLD_MS;
}

static bool ticket_lives(const cJSON *ticket, const struct lock_memory *memory,
                         const struct lock_me *me, int64_t now)
{
    int64_t since = 0;

    return strcmp(id_of(ticket), me->id) == 0 ||
           (json_i64(cJSON_GetObjectItemCaseSensitive(memory->tickets, id_of(ticket)), "since",
                     &since) &&
            now - since < LOCK_TICKET_MS);
}

/* ---- the queue ---- */

/* The living tickets, in order. */
static cJSON *living(const cJSON *lease, const struct lock_memory *memory, const struct lock_me *me,
                     int64_t now)
{
    autojson cJSON *queue = queue_of(lease);
    cJSON *alive = json_array();
    const cJSON *ticket;

    cJSON_ArrayForEach(ticket, queue)
    {
        if (ticket_lives(ticket, memory, me, now)) {
            json_push(alive, json_copy(ticket));
        }
    }
    return alive;
}

static int index_of(const cJSON *queue, const char *id)
{
    for (int i = 0; i < cJSON_GetArraySize(queue); i++) {
        if (strcmp(id_of(cJSON_GetArrayItem(queue, i)), id) == 0) {
            return i;
        }
    }
    return -1;
}

static bool is_of_branch(const cJSON *one, const struct lock_me *me)
{
    const char *branch = json_str(one, "branch");
    const char *commit = json_str_or(one, "commit", "");

    return me->branch && branch && strcmp(branch, me->branch) == 0 &&
           strcmp(commit, me->commit ? me->commit : "") != 0;
}

static bool any_of_branch(const cJSON *queue, const struct lock_me *me)
{
    const cJSON *ticket;

    cJSON_ArrayForEach(ticket, queue)
    {
        if (is_of_branch(ticket, me)) {
            return true;
        }
    }
    return false;
}

static cJSON *describe(const struct lock_me *me)
{
    cJSON *json = json_object();

    json_set_str(json, "id", me->id);
    json_set_str(json, "name", me->name);
    json_set_str(json, "commit", me->commit);
    json_set_str(json, "branch", me->branch);
    return json;
}

static cJSON *ticket_of(const struct lock_me *me)
{
    cJSON *ticket = describe(me);

    json_set_i64(ticket, "beat", me->beat);
    return ticket;
}

/* At the end; older commits of our branch that still wait are let go. */
static void enqueue(cJSON *queue, const struct lock_me *me)
{
    for (int i = cJSON_GetArraySize(queue); i-- > 0;) {
        if (is_of_branch(cJSON_GetArrayItem(queue, i), me)) {
            cJSON_DeleteItemFromArray(queue, i);
        }
    }
    json_push(queue, ticket_of(me));
}

/* ---- what to write ---- */

static cJSON *copy_or_new(const cJSON *lease)
{
    cJSON *next = lease ? json_copy(lease) : json_object();
    cJSON *metadata;

    /* an item of a list does not say what it is */
    json_set_str(next, "apiVersion", "coordination.k8s.io/v1");
    json_set_str(next, "kind", "Lease");
    if (lease) { /* the server's own field */
        cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(next, "metadata"),
                                                "managedFields");
        return next;
    }
    metadata = json_set_object(next, "metadata");
    json_set_str(json_set_object(metadata, "labels"), LOCK_LABEL, "deploy");
    return next;
}

static void renew(cJSON *lease, int64_t wall_ms)
{
    json_set_str(member_object(lease, "spec"), "renewTime",
                 time_rfc3339_micro(wall_ms * 1000).text);
}

static cJSON *taken(const cJSON *lease, cJSON *queue, const struct lock_me *me, int64_t wall_ms)
{
    cJSON *next = copy_or_new(lease);
    cJSON *spec = member_object(next, "spec");
    int mine = index_of(queue, me->id);
    int64_t transitions = 0;
    autojson cJSON *holder = describe(me);

    if (mine >= 0) {
        cJSON_DeleteItemFromArray(queue, mine);
    }
    (void)json_i64(lease, "spec.leaseTransitions", &transitions);
    json_set_str(spec, "holderIdentity", me->id);
    json_set_i64(spec, "leaseDurationSeconds", LOCK_HOLD_MS / 1000);
    json_set_i64(spec, "leaseTransitions", transitions + (lease ? 1 : 0));
    json_set_str(spec, "acquireTime", time_rfc3339_micro(wall_ms * 1000).text);
    renew(next, wall_ms);
    annotate(next, LOCK_QUEUE, queue);
    annotate(next, LOCK_HOLDER, holder);
    return next;
}

enum lock_move lock_decide(const cJSON *lease, const struct lock_memory *memory, struct lock_me *me,
                           bool beat_due, int64_t now, int64_t wall_ms, cJSON **next)
{
    autojson cJSON *queue = living(lease, memory, me, now);
    autojson cJSON *holder = annotation(lease, LOCK_HOLDER);
    int place = index_of(queue, me->id);

    *next = NULL;
    if (place < 0 && me->queued && (any_of_branch(queue, me) || is_of_branch(holder, me))) {
        return LOCK_SUPERSEDED;
    }
    me->queued = me->queued || place >= 0;
    if (!holder_lives(lease, memory, now) &&
        (place == 0 || (place < 0 && cJSON_GetArraySize(queue) == 0))) {
        *next = taken(lease, queue, me, wall_ms);
        return LOCK_TAKE;
    }
    if (place >= 0 && !beat_due) {
        return LOCK_WAIT;
    }
    if (place < 0) {
        enqueue(queue, me);
    } else {
        me->beat++;
        cJSON_ReplaceItemInArray(queue, place, ticket_of(me));
    }
    *next = copy_or_new(lease);
    annotate(*next, LOCK_QUEUE, queue);
    return LOCK_WRITE;
}

cJSON *lock_renewed(const cJSON *lease, int64_t wall_ms)
{
    cJSON *next = copy_or_new(lease);

    renew(next, wall_ms);
    return next;
}

cJSON *lock_released(const cJSON *lease, const struct lock_me *me)
{
    cJSON *next = copy_or_new(lease);
    autojson cJSON *queue = queue_of(lease);
    int place = index_of(queue, me->id);

    if (strcmp(json_str_or(lease, "spec.holderIdentity", ""), me->id) == 0) {
        cJSON *spec = member_object(next, "spec");

        json_set_str(spec, "holderIdentity", "");
        json_set_i64(spec, "leaseDurationSeconds", 1);
        cJSON_DeleteItemFromObjectCaseSensitive(
            member_object(member_object(next, "metadata"), "annotations"), LOCK_HOLDER);
    }
    if (place >= 0) {
        cJSON_DeleteItemFromArray(queue, place);
    }
    annotate(next, LOCK_QUEUE, queue);
    return next;
}

/* ---- for people ---- */

char *lock_holder_text(const cJSON *lease)
{
    autojson cJSON *holder = annotation(lease, LOCK_HOLDER);
    const char *name = json_str(holder, "name");
    const char *commit = json_str(holder, "commit");
    const char *branch = json_str(holder, "branch");

    if (!name) {
        return xstrdup(json_str_or(lease, "spec.holderIdentity", ""));
    }
    return xasprintf("%s%s%.12s%s%s%s", name, commit ? " (commit " : "", commit ? commit : "",
                     commit && branch ? ", branch " : "", commit && branch ? branch : "",
                     commit ? ")" : "");
}

size_t lock_place(const cJSON *lease, const struct lock_memory *memory, const struct lock_me *me,
                  int64_t now, size_t *of)
{
    autojson cJSON *queue = living(lease, memory, me, now);

    *of = (size_t)cJSON_GetArraySize(queue);
    return (size_t)(index_of(queue, me->id) + 1);
}
