/* What a folder holds, before it is packed: every entry in the order of the archive, which depends
 * on nothing but the names. What necoops-snapshot-load would refuse is refused here already. */
#ifndef SNAPSHOT_SCAN_H
#define SNAPSHOT_SCAN_H

#include <sys/stat.h>
#include "necoops/base/err.h"
#include "necoops/base/strv.h"
#include "snapshot/tar.h"

struct scan_entry {
    char *path; /* "" is the top folder itself; folders come before what is in them */
    char *link; /* target of a link; of a hard link the path of the entry that came first */
    enum tar_type type;
    struct stat st; /* as it was found */
};

struct scan {
    struct scan_entry *entries;
    size_t count, room;
    uint64_t apparent_bytes; /* of all files, holes included */
    uint64_t disk_bytes;     /* an estimate of what is not holes */
    uint64_t files;
    struct strv left_out; /* sockets, and what `exclude` names */
};
void scan_clear(struct scan *scan);

/* `exclude`: globs ('*' and '?'), of whole paths or of names. ERR_FAILED names the entry that
 * cannot be packed and why: it cannot be read, a program holds a lock on it (QEMU locks the images
 * of a running VM), or a load would refuse it. */
int scan_folder(int folder_fd, const struct strv *exclude, struct scan *out,
                struct err *err) MUST_CHECK;
/* Is everything still as it was found? ERR_FAILED names what is not. */
int scan_check(int folder_fd, const struct scan *scan, struct err *err) MUST_CHECK;
/* Has the entry, now `now`, been changed? */
bool scan_changed(const struct scan_entry *entry, const struct stat *now);
/* Opens a file of the scan for reading: a descriptor of the very same file, or -1. */
int scan_open(int folder_fd, const struct scan_entry *entry, struct err *err);

#endif
