/* The decoding stage: compressed bytes in, the archive's bytes out.
 *
 * The format goes by its first bytes, never by the object's name: zstd (RFC 8878), gzip (RFC 1952),
 * xz (the .xz file format 1.0.4), or none of them, which is passed on as it is. Several frames,
 * members or streams in a row are one archive. A stream that ends early and anything after its end
 * are refused; so is a zstd window beyond 128 MiB, which is the format's usual limit.
 */
#ifndef SNAPSHOT_DECODE_H
#define SNAPSHOT_DECODE_H

#include "necoops/base/err.h"
#include "snapshot/queue.h"
#include "snapshot/ring.h"

/* Decodes all of `in` into `out` and returns at the end; `out` is not ended here. `format` is that
 * of the mark where `in` begins, or 0 at the start of an object. Spans of `out` carry marks where
 * zstd frames begin, and everywhere when nothing is compressed. -1: the stream is broken
 * (ERR_FAILED), or either queue was aborted. */
int decode(struct reader *in, char format, struct queue *out, struct err *err) MUST_CHECK;

/* ---- the formats; each decodes all that follows ---- */

int decode_zstd(struct reader *in, struct queue *out, struct err *err) MUST_CHECK;
int decode_gzip(struct reader *in, struct queue *out, struct err *err) MUST_CHECK;
int decode_xz(struct reader *in, struct queue *out, struct err *err) MUST_CHECK;

/* Why a stage ends when another one failed; the other's error is the one people see. */
int decode_stopped(struct err *err);
/* The room that decoders of a fixed step write into. */
#define DECODE_STEP ((size_t)1 << 20)
#define DECODE_RING (4 * DECODE_STEP)

#endif
