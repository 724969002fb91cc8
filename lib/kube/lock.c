#include "necoops/kube/lock.h"

#include <string.h>
#include "internal.h"
#include "lock_state.h"
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/kube/watch.h"

#define RENEW_MS      4000
#define TRUST_MS      10000 /* after so long without a renewal, we write nothing more */
#define AGAIN_MS      2000  /* a write that was refused is tried again at the latest after this */
#define ANSWER_MS     5000
#define TICK_MS       250
#define ASKING_MS     5000 /* a free lock is taken within it, however short the wait */
#define RELEASE_TRIES 5

/* All that is known of the Lease comes from the watch, in order; answers to writes only tell
 * whether they were taken, because an older state may still be on its way. */
struct kube_lock {
    struct kube *kube;
    char *name, *collection, *path, *what;
    struct lock_me me;
    struct lock_memory memory;
    struct kube_watch *watch;
    cJSON *lease; /* as last seen; NULL: none */
    bool listed;
    bool mine;          /* it says that we hold it */
    int64_t renewed_at; /* when the last successful write as its holder was sent */
    int64_t due_at;     /* of the next renewal or beat */
    struct kube_pending *pending;
    int64_t sent_at;
    char *sent_version; /* what the last write was made from, until it shows */
    int64_t again_at;
    char *holder;
    struct err err; /* ends it */
};

static const struct run *run_of(const struct kube_lock *lock)
{
    return http_run(lock->kube->http);
}

static int64_t now_ms(const struct kube_lock *lock)
{
    return run_mono_ms(run_of(lock));
}

/* ---- what is seen ---- */

static void look(struct kube_lock *lock, cJSON *lease)
{
    bool was_mine = lock->mine;

    cJSON_Delete(lock->lease);
    lock->lease = lease;
    lock_remember(&lock->memory, lease, now_ms(lock));
    lock->mine = strcmp(json_str_or(lease, "spec.holderIdentity", ""), lock->me.id) == 0;
    if (lock->mine && !was_mine) {
        lock->renewed_at = lock->sent_at;
        lock->due_at = lock->sent_at + RENEW_MS;
    }
    free(lock->holder);
    lock->holder = lock_holder_text(lease);
}

static void on_object(void *arg, const cJSON *object)
{
    struct kube_lock *lock = arg;

    if (strcmp(json_str_or(object, "metadata.name", ""), lock->name) == 0) {
        look(lock, json_copy(object));
    }
}

static void on_deleted(void *arg, const char *space, const char *name)
{
    struct kube_lock *lock = arg;

    (void)space;
    if (strcmp(name, lock->name) == 0) {
        look(lock, NULL);
    }
}

static void on_synced(void *arg)
{
    struct kube_lock *lock = arg;

    lock->listed = true;
}

static void on_failed(void *arg, struct err *err)
{
    struct kube_lock *lock = arg;

    err_move(&lock->err, err);
}

/* ---- what is written ---- */

static const char *version_of(const struct kube_lock *lock)
{
    return json_str_or(lock->lease, "metadata.resourceVersion", "");
}

static void written(void *arg, cJSON *answer, struct err *err)
{
    struct kube_lock *lock = arg;

    cJSON_Delete(answer);
    lock->pending = NULL;
    if (err->code == ERR_NONE) {
        if (lock->mine) {
            lock->renewed_at = lock->sent_at;
        }
    } else if (err->code == ERR_DENIED || err->code == ERR_INVALID ||
               (err->code == ERR_NOT_FOUND && !lock->lease)) { /* no such namespace */
        err_move(&lock->err, err);
    } else { /* somebody was faster, or no answer: what the watch shows decides */
        lock->due_at = now_ms(lock);
    }
}

/* Takes `lease`. */
static void write_lease(struct kube_lock *lock, cJSON *lease)
{
    struct kube_call call = {
        .method = lock->lease ? "PUT" : "POST",
        .path = lock->lease ? lock->path : lock->collection,
        .body = lease,
        .what = lock->what,
        .timeout_ms = ANSWER_MS,
        .retry_ms = -1,
    };

    if (!lock->lease) {
        json_set_str(cJSON_GetObjectItemCaseSensitive(lease, "metadata"), "name", lock->name);
    }
    free(lock->sent_version);
    lock->sent_version = xstrdup(version_of(lock));
    lock->sent_at = now_ms(lock);
    lock->again_at = lock->sent_at + AGAIN_MS;
    lock->pending = kube_start(lock->kube, &call, written, lock);
    cJSON_Delete(lease);
}

/* A write is under way, or has not shown in the watch yet. */
static bool must_wait(struct kube_lock *lock)
{
    return lock->pending || (lock->sent_version && now_ms(lock) < lock->again_at &&
                             strcmp(lock->sent_version, version_of(lock)) == 0);
}

/* ---- waiting for our turn ---- */

static int superseded(const struct kube_lock *lock, struct err *err)
{
    return err_set(err, ERR_BUSY,
                   "a newer commit of branch '%s' took the place in the queue; this one is not "
                   "deployed",
                   lock->me.branch);
}

static int step(struct kube_lock *lock, struct err *err)
{
    int64_t now = now_ms(lock);
    cJSON *next;

    if (!lock->listed || must_wait(lock)) {
        return 0;
    }
    switch (lock_decide(lock->lease, &lock->memory, &lock->me, now >= lock->due_at, now,
                        run_wall_ms(run_of(lock)), &next)) {
    case LOCK_SUPERSEDED:
        return superseded(lock, err);
    case LOCK_TAKE:
    case LOCK_WRITE:
        lock->due_at = now + LOCK_BEAT_MS;
        write_lease(lock, next);
        return 0;
    default:
        return 0;
    }
}

static bool is_held(const struct kube_lock *lock)
{
    return lock->holder && lock->holder[0];
}

static void show(const struct kube_lock *lock)
{
    size_t of = 0;
    size_t place = lock_place(lock->lease, &lock->memory, &lock->me, now_ms(lock), &of);

    if (place) {
        progress_update(run_of(lock)->progress, "place %zu of %zu in the queue; held by %s", place,
                        of, is_held(lock) ? lock->holder : "nobody");
    }
}

static int wait_for_turn(struct kube_lock *lock, int64_t timeout_ms, struct err *err)
{
    int64_t until = now_ms(lock) + timeout_ms;

    while (!lock->mine) {
        if (lock->err.code != ERR_NONE) {
            err_move(err, &lock->err);
            return err_prefix(err, "the lock of the cluster");
        }
        kube_watch_tick(lock->watch);
        if (step(lock, err) != 0) {
            return -1;
        }
        if (now_ms(lock) >= (is_held(lock) ? until : until + ASKING_MS)) {
            return err_set(err, ERR_BUSY, "the cluster is held by %s",
                           is_held(lock) ? lock->holder : "others");
        }
        show(lock);
        if (http_drive(lock->kube->http, kube_watch_due_ms(lock->watch, TICK_MS), -1,
                       "our turn on the cluster", err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- for the caller ---- */

static struct kube_lock *lock_new(struct kube *kube, const char *space, const char *name,
                                  const struct kube_lock_who *who)
{
    struct kube_lock *lock = xcalloc(1, sizeof(*lock));
    struct uuid_text id = uuid_random();
    autofree char *space_part = url_encode(space);

    lock->kube = kube;
    lock->name = xstrdup(name);
    lock->collection = xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases", space_part);
    lock->path = xasprintf("%s/%s", lock->collection, name);
    lock->what = xasprintf("lease '%s'", name);
    lock->me = (struct lock_me){
        .id = xstrdup(id.text),
        .name = xstrdup(who->name),
        .commit = who->commit ? xstrdup(who->commit) : NULL,
        .branch = who->branch ? xstrdup(who->branch) : NULL,
    };
    return lock;
}

static void lock_free(struct kube_lock *lock)
{
    if (lock->pending) {
        kube_cancel(lock->pending);
    }
    kube_watch_free(lock->watch);
    cJSON_Delete(lock->lease);
    lock_memory_clear(&lock->memory);
    lock_me_clear(&lock->me);
    err_clear(&lock->err);
    free(lock->name);
    free(lock->collection);
    free(lock->path);
    free(lock->what);
    free(lock->sent_version);
    free(lock->holder);
    free(lock);
}

int kube_lock_acquire(struct kube *kube, const char *space, const char *name,
                      const struct kube_lock_who *who, int64_t timeout_ms, struct kube_lock **out,
                      struct err *err)
{
    struct kube_lock *lock = lock_new(kube, space, name, who);
    struct kube_watch_handler handler = {on_object, on_deleted, on_synced, on_failed, lock};

    lock->watch =
        kube_watch_start(kube, lock->collection, LOCK_LABEL "=deploy", lock->what, &handler);
    if (wait_for_turn(lock, timeout_ms, err) != 0) {
        *out = lock; /* its ticket is to be given back in a run that has not ended */
        return -1;
    }
    *out = lock;
    return 0;
}

bool kube_lock_held(const struct kube_lock *lock)
{
    return lock->mine && now_ms(lock) - lock->renewed_at < TRUST_MS;
}

const char *kube_lock_holder(const struct kube_lock *lock)
{
    return lock->holder ? lock->holder : "";
}

int64_t kube_lock_due_ms(const struct kube_lock *lock, int64_t at_most)
{
    int64_t left = lock->due_at - now_ms(lock);

    at_most = kube_watch_due_ms(lock->watch, at_most);
    if (!lock->mine || lock->pending) {
        return at_most;
    }
    left = left > TICK_MS ? left : TICK_MS;
    return left < at_most ? left : at_most;
}

void kube_lock_tick(struct kube_lock *lock)
{
    int64_t now = now_ms(lock);

    kube_watch_tick(lock->watch);
    if (lock->mine && now >= lock->due_at && !must_wait(lock)) {
        lock->due_at = now + RENEW_MS;
        write_lease(lock, lock_renewed(lock->lease, run_wall_ms(run_of(lock))));
    }
}

/* Our name or ticket out of the Lease, from a fresh reading. */
static int give_back(struct kube_lock *lock, struct err *err)
{
    autojson cJSON *lease = NULL;
    autojson cJSON *next = NULL;

    if (kube_get(lock->kube, lock->path, lock->what, &lease, err) != 0) {
        return -1;
    }
    next = lock_released(lease, &lock->me);
    struct kube_call call = {
        .method = "PUT", .path = lock->path, .body = next, .what = lock->what, .retry_ms = -1};
    return kube_call(lock->kube, &call, NULL, err);
}

void kube_lock_release(struct kube_lock *lock)
{
    if (!lock) {
        return;
    }
    for (int i = 0; i < RELEASE_TRIES && (lock->mine || lock->sent_version); i++) {
        autoerr struct err err = ERR_INIT;

        if (give_back(lock, &err) == 0 || err.code == ERR_NOT_FOUND) {
            break;
        }
        if (err.code != ERR_CONFLICT) {
            log_warning(run_of(lock)->log, "the lease could not be given back, so it lapses: %s",
                        err_text(&err));
            break;
        }
    }
    lock_free(lock);
}
