/* One run at a time on a cluster: a Lease (coordination.k8s.io/v1) with a queue of tickets.
 *
 * Who comes first is served first. Tickets stand, in order, in an annotation of the Lease; who
 * waits renews its ticket, who dies loses it. A newer commit of the same branch takes the place of
 * an older one that still waits. Expiry is judged by locally observed change, never by another's
 * clock; a holder that could not renew in time knows by its own clock that it may write nothing
 * more. Every write is guarded by the resourceVersion.
 */
#ifndef NECOOPS_KUBE_LOCK_H
#define NECOOPS_KUBE_LOCK_H

#include "necoops/kube/client.h"

struct kube_lock; /* opaque */

/* Who asks, as others are told. */
struct kube_lock_who {
    const char *name;   /* "alice@laptop", a CI job's URL */
    const char *commit; /* or NULL */
    const char *branch; /* or NULL: supersedes nothing */
};

/* Waits for its turn, at most `timeout_ms`: ERR_BUSY names the holder then; ERR_BUSY as well when a
 * newer commit of the branch took its place. `out` is set even when it fails: release it, in a run
 * that has not ended, so that nobody waits for its ticket. */
int kube_lock_acquire(struct kube *kube, const char *space, const char *name,
                      const struct kube_lock_who *who, int64_t timeout_ms, struct kube_lock **out,
                      struct err *err) MUST_CHECK;
/* True while it may write. */
bool kube_lock_held(const struct kube_lock *lock);
/* Who has it, for messages; borrowed. */
const char *kube_lock_holder(const struct kube_lock *lock);
/* Renewing goes on from http_drive; call these around it, as with kube_watch. */
int64_t kube_lock_due_ms(const struct kube_lock *lock, int64_t at_most);
void kube_lock_tick(struct kube_lock *lock);
/* Gives it back (when it still has it) and frees it; NULL is fine. The http's run must not have
 * ended. */
void kube_lock_release(struct kube_lock *lock);

/* Who has it and who waits, without asking for it; `*out` NULL when nobody ever did. Else
 * {"holder": {"name","commit"?,"branch"?}?, "since"?, "renewed"?, "queue": [{"name",…}]}. Whether
 * the holder still lives shows only in a later look: `renewed` moves then. */
int kube_lock_look(struct kube *kube, const char *space, const char *name, cJSON **out,
                   struct err *err) MUST_CHECK;

#endif
