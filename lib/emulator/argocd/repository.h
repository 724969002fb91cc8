/* The repositories of one Argo CD: revisions resolved as its repository server does, commits
 * checked out into folders that are kept while they are of use. Reads the mirror only, never writes
 * to it. For one thread. */
#ifndef EMULATOR_ARGOCD_REPOSITORY_H
#define EMULATOR_ARGOCD_REPOSITORY_H

#include <stdbool.h>
#include "necoops/base/err.h"

struct repositories;
/* `dir`: a folder of its own for the checkouts; made when first needed, removed at the end. */
struct repositories *repositories_new(const char *dir);
void repositories_free(struct repositories *repositories);

struct commit_sha {
    char text[41];
};

/* Branch, tag, full reference, HEAD (also ""), 40-hex SHA (not looked up), or an abbreviated one.
 * `mirror` is the folder that serves the repository. */
int repository_resolve(struct repositories *repositories, const char *mirror, const char *revision,
                       struct commit_sha *out, struct err *err);

/* The commit's files in a folder; borrowed until the next checkout. What is written there by a
 * renderer does no harm to other commits. */
int repository_checkout(struct repositories *repositories, const char *mirror,
                        const struct commit_sha *sha, const char **dir, struct err *err);

/* An id of the content below `path` ("" or ".": of all of the commit), so that what did not change
 * from one commit to the next need not be rendered again. False when there is no such path. */
bool repository_content_id(struct repositories *repositories, const char *mirror,
                           const struct commit_sha *sha, const char *path, struct commit_sha *out);

/* True for 7 to 40 hexadecimal digits (`full`: exactly 40). */
bool revision_is_sha(const char *revision, bool full);

#endif
