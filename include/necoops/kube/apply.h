/* Server-side apply of many objects
 * (https://kubernetes.io/docs/reference/using-api/server-side-apply/): definitions and namespaces
 * first, and the definitions Established; then all else side by side. */
#ifndef NECOOPS_KUBE_APPLY_H
#define NECOOPS_KUBE_APPLY_H

#include "necoops/kube/client.h"

struct kube_apply {
    const char *manager; /* fieldManager */
    const char *space;   /* for objects that name none and need one */
    bool force;          /* take fields over from other managers */
};

/* `text` is a stream of YAML documents (or JSON); `name` stands in errors. Idempotent. ERR_INVALID
 * with file, line and column for what does not parse; a conflict (ERR_CONFLICT) names the other
 * manager and the field; of several failures the first is told, and how many there were. `count`
 * (optional) is the number of objects. */
int kube_apply_all(struct kube *kube, const struct kube_apply *apply, const char *text, size_t len,
                   const char *name, size_t *count, struct err *err) MUST_CHECK;

#endif
