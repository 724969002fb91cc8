/* What a cluster shows of a resource that is not well. */
#ifndef DEPLOY_EVIDENCE_H
#define DEPLOY_EVIDENCE_H

#include "necoops/kube/client.h"

struct finding {
    char *text;         /* "Pod x/y: ImagePullBackOff: …", perhaps with log lines */
    char *container;    /* to look for in the manifest; NULL: the resource as a whole */
    const char *member; /* of the container: "image", "readinessProbe", …; or NULL */
};

struct findings {
    struct finding *items;
    size_t len;
};

struct evidence_source {
    const struct run *run;
    struct kube *kube;
    int64_t *patience_ms; /* what may be spent on looking again where nothing is to be seen yet */
};

/* Looks at the pods behind a workload (or at the pod), their containers, warnings and logs. Best
 * effort: what cannot be read is left out. */
void evidence_find(const struct evidence_source *source, const char *group, const char *kind,
                   const char *space, const char *name, struct findings *out);
void findings_clear(struct findings *findings);
/* "Deployment web/web: container 'web' …: ImagePullBackOff: …" when one of its pods cannot get its
 * image, or when its pods are refused; else NULL. Caller frees. */
char *evidence_of_hopeless(struct kube *kube, const char *group, const char *kind,
                           const char *space, const char *name);
/* Why a namespace that is to go does not: what its controller says is left. */
void evidence_of_namespace(struct kube *kube, const char *name, struct findings *out);
#define autofindings CLEANUP(findings_clear)

#endif
