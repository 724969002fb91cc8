/* Faults by rule: `--fault RULE`, as necoops-emulator(1) describes the grammar. A rule is
 * "KEY=VALUE,KEY=VALUE,…" (a comma inside a value is written "\,").
 *
 *   matching   listener= method= path= query= (globs; `path` and `query` as sent, still encoded)
 *              n=N the N-th request that matches (1), count=N so many in a row (1; 0: for ever),
 *              until=DURATION recovered so long after its first hit
 *   doing      status=N [reason= message= retry-after= body=], html=N, badjson, reset, close,
 *              truncate=BYTES, stall=DURATION, delay=DURATION, flip=OFFSET, down=DURATION,
 *              header=NAME: VALUE (of the answer, instead of its own), drop=NAME (a header of the
 *              request, which the handler does not see)
 *   after      the handler does its work and only then the fault hides its answer
 *
 * A rule with operation=TYPE (insert, delete, …) faults operations of Compute Engine instead:
 *   matching   operation= zone= target= (globs), n= count= until=
 *   doing      error=CODE [message=] [vanish]
 *
 * A rule with application=NAME faults Argo CD:
 *   matching   application= (a glob), n= count= until=
 *   doing      argocd=lose-refresh | degraded | restart [pause=DURATION]
 */
#ifndef EMULATOR_CORE_FAULT_H
#define EMULATOR_CORE_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include "necoops/base/err.h"
#include "necoops/base/strv.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_STATUS,
    FAULT_HTML,
    FAULT_BADJSON,
    FAULT_RESET,
    FAULT_CLOSE,
    FAULT_TRUNCATE,
    FAULT_STALL,
    FAULT_DELAY,
    FAULT_FLIP,
    FAULT_HEADER,
    FAULT_DROP,
    FAULT_DOWN,
    FAULT_OPERATION,
    FAULT_ARGOCD,
};

/* What a rule that was hit does; the texts are the rule's, borrowed for the server's life. */
struct fault_action {
    enum fault_kind kind;
    const char *rule;
    bool after;
    int status;
    int64_t number; /* bytes, offset, milliseconds */
    const char *reason, *message, *body, *retry_after;
    const char *header; /* header: the line; drop: the name */
    const char *error;  /* operation; what Argo CD does */
    bool vanish;
};

struct faults;
/* ERR_USAGE names the rule and what is wrong with it. */
int faults_new(const struct strv *rules, struct faults **out, struct err *err);
void faults_free(struct faults *faults);

struct fault_subject {
    const char *listener, *method, *path, *query;
};
/* Counts the request on every rule it matches; the first that is hit fills `action`. */
bool faults_request(struct faults *faults, const struct fault_subject *subject,
                    struct fault_action *action);
bool faults_operation(struct faults *faults, const char *type, const char *zone, const char *target,
                      struct fault_action *action);
/* `what`: what Argo CD is about to do rightly, as a rule's argocd= names it. */
bool faults_application(struct faults *faults, const char *application, const char *what,
                        struct fault_action *action);

#endif
