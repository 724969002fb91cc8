/* Reads a tar archive from a run of bytes: ustar (POSIX.1-1988), pax (POSIX.1-2001), GNU (long
 * names, base-256 numbers), and sparse files in all four forms that exist (old GNU; pax 0.0, 0.1
 * and 1.0, https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html).
 *
 * It is strict where other readers are kind: what it cannot vouch for is an error (ERR_FAILED),
 * never a guess. Names come out checked: relative, without '.', '..' and empty components, UTF-8,
 * no control characters. The archive must end with its two zero blocks, and nothing but zeros
 * follows.
 */
#ifndef SNAPSHOT_TAR_H
#define SNAPSHOT_TAR_H

#include <sys/types.h>
#include "necoops/base/err.h"
#include "necoops/base/buf.h"
#include "snapshot/queue.h"

enum tar_type { TAR_FILE, TAR_DIR, TAR_SYMLINK, TAR_HARDLINK };

/* A run of content within a file; between them are holes. */
struct tar_extent {
    uint64_t offset;
    uint64_t len;
};

struct tar_entry {
    enum tar_type type;
    char *path;  /* "" is the top folder itself */
    char *link;  /* target of a link as it stands in the archive; a hard link's is checked like a
                    path */
    mode_t mode; /* permission bits and sticky */
    uint64_t uid, gid;
    int64_t mtime; /* seconds since 1970 */
    long mtime_nsec;
    uint64_t size;              /* of the file, holes included */
    struct tar_extent *extents; /* ascending; one for a file without a sparse map */
    size_t extent_count;
};
void tar_entry_clear(struct tar_entry *entry);

struct tar; /* opaque */

/* Reads from `in`, borrowed. */
struct tar *tar_new(struct reader *in);
void tar_free(struct tar *tar);

/* The next entry into `entry` (cleared first); what is left of the content before is skipped. 1; 0
 * at the end, when the rest has been read and found to be zeros; -1. */
int tar_next(struct tar *tar, struct tar_entry *entry, struct err *err) MUST_CHECK;
/* The next piece of the entry's content as stored (the extents one after another), borrowed until
 * the next call; `*len` is 0 at its end. */
int tar_data(struct tar *tar, const unsigned char **data, size_t *len, struct err *err) MUST_CHECK;

/* Of the content of the current entry: what of it comes from the piece that was handed out last on,
 * and what follows to fill its last block up. */
void tar_where(const struct tar *tar, uint64_t *left, size_t *pad);
/* `in` begins within the content of an entry, of which so much is still to come. */
void tar_resume(struct tar *tar, uint64_t left, size_t pad);

/* ---- its parts, apart for the tests ---- */

#define TAR_BLOCK       512
#define TAR_EXTENTS_MAX ((size_t)1 << 20)
#define TAR_PATH_MAX    4096

/* A field of `len` bytes: octal with white space around it, or base-256; false when it is neither
 * or does not fit. */
bool tar_number(const unsigned char *field, size_t len, uint64_t *out);
/* The name made plain ("./a//b/" is "a/b"), or -1 with the reason. Caller frees. */
int tar_clean_path(const char *path, char **out, struct err *err) MUST_CHECK;
/* A symbolic link at `path` may lead up, but never above the top, nor to an absolute path. */
int tar_check_link(const char *path, const char *link, struct err *err) MUST_CHECK;

#endif
