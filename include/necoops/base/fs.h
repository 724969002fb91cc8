/* Files and folders. Paths in errors are as the caller gave them. */
#ifndef NECOOPS_BASE_FS_H
#define NECOOPS_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "necoops/base/buf.h"
#include "necoops/base/err.h"

/* The whole file, added to `out` (its cap bounds it); "-" is standard input. ERR_NOT_FOUND,
 * ERR_FAILED. */
int fs_read(const char *path, struct buf *out, struct err *err) MUST_CHECK;
/* Written beside the target with exactly `mode`, synced, renamed over it. A link is followed to the
 * file it names; a device or pipe (/dev/stdout, /dev/null) is written to, never replaced. */
int fs_write(const char *path, const void *data, size_t len, mode_t mode,
             struct err *err) MUST_CHECK;
int fs_mkdirs(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* Removes a tree without following links or crossing mount points (one within is an
 * error that names it); a missing one is no error. */
int fs_remove_tree(const char *path, struct err *err) MUST_CHECK;
bool fs_exists(const char *path);
bool fs_is_dir(const char *path);
/* A new empty folder DIR/PREFIXxxxxxx, mode 0700; caller frees the path. */
int fs_make_temp_dir(const char *dir, const char *prefix, char **path, struct err *err) MUST_CHECK;
char *path_join(const char *dir, const char *name); /* caller frees; an absolute name wins */
/* `relative` as seen from `folder` ("" is the top), "." and ".." followed; NULL when it is absolute or
 * leaves the top. Caller frees. */
char *path_within(const char *folder, const char *relative);
/* "~/x" with HOME put in; otherwise a copy. Caller frees. */
char *path_expand_home(const char *path, const char *home);

#endif
