/* What a CI system tells a job of itself in its environment: CircleCI's "Built-in environment
 * variables", GitHub Actions' "Default environment variables". */
#ifndef NECOOPS_BASE_CI_H
#define NECOOPS_BASE_CI_H

#include "necoops/base/run.h"

/* The commit of the job and the variable that names it; borrowed; NULL outside of CI. */
const char *ci_commit(const struct run *run, const char **variable);
/* Its branch (of a pull request: the one that is to be merged); borrowed; NULL outside of CI. */
const char *ci_branch(const struct run *run);
/* The page of the job as the CI tells it, not parsed; caller frees; NULL outside of CI. */
char *ci_page(const struct run *run);
/* Who works here, for others to read: the job's page, else user@host; caller frees. */
char *ci_who(const struct run *run);

#endif
