/* Creates things below a folder, by names that an archive gave, without ever leaving it. */
#ifndef SNAPSHOT_TREE_H
#define SNAPSHOT_TREE_H

#include "necoops/base/err.h"
#include "necoops/base/strv.h"
#include "snapshot/tar.h"

struct tree; /* opaque */

/* `root_fd` is borrowed. */
struct tree *tree_new(int root_fd);
void tree_free(struct tree *tree);
void tree_freep(struct tree **tree);
#define autotree CLEANUP(tree_freep)

/* A folder named in the archive; its parents are made where it names none. Its attributes are set
 * by tree_finish, when nothing more is created in it. */
int tree_dir(struct tree *tree, const struct tar_entry *entry, struct err *err) MUST_CHECK;
int tree_symlink(struct tree *tree, const struct tar_entry *entry, struct err *err) MUST_CHECK;
/* To a file that was unpacked before. */
int tree_hardlink(struct tree *tree, const struct tar_entry *entry, struct err *err) MUST_CHECK;
/* A new file, open for writing; the caller closes it. */
int tree_file(struct tree *tree, const struct tar_entry *entry, int *fd,
              struct err *err) MUST_CHECK;
/* One that is there already, from a run that was killed. */
int tree_reopen(struct tree *tree, const struct tar_entry *entry, int *fd,
                struct err *err) MUST_CHECK;
/* Removes everything below `root_fd` but folders and what `names` (sorted) has. */
int tree_prune(int root_fd, const struct strv *names, struct err *err) MUST_CHECK;
/* Owner, mode and time of an open file. */
int tree_set_attributes(int fd, const struct tar_entry *entry, struct err *err) MUST_CHECK;
int tree_finish(struct tree *tree, struct err *err) MUST_CHECK;

#endif
