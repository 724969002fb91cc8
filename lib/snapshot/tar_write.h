/* Writes the headers of a tar archive: ustar with pax records where a field is too small
 * (POSIX.1-2001), and sparse files in GNU's form 1.0, whose map leads the content
 * (https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html). GNU tar, bsdtar and
 * our own reader take it. Nothing but the entry goes into it: the same entry, the same bytes. */
#ifndef SNAPSHOT_TAR_WRITE_H
#define SNAPSHOT_TAR_WRITE_H

#include "snapshot/tar.h"

/* Extents of one file, so that its map stays small. */
#define TAR_WRITE_EXTENTS ((size_t)1 << 16)

/* All that comes before the content of the entry; the extents' bytes follow it, one after another,
 * and then zeros up to the next block. -1 when `out` overflows. */
int tar_write_head(const struct tar_entry *entry, struct buf *out, struct err *err) MUST_CHECK;
/* Bytes of the extents. */
uint64_t tar_content_len(const struct tar_entry *entry);

#endif
