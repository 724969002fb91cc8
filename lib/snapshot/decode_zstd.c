/* zstd: frames that say how much they hold, and hold little, are decoded side by side; others block
 * by block, straight into the ring that the next stage reads.
 *
 * The streaming interface of libzstd decodes into a window of its own and copies from there; at two
 * gigabytes a second that copy is a good part of the whole. The block interface leaves the window
 * to the caller, and the ring is one. It checks what the streaming interface checks, the frame's
 * checksum included.
 */
#define ZSTD_STATIC_LINKING_ONLY
#define ZSTD_DISABLE_DEPRECATE_WARNINGS
#include <string.h>
#include <zstd.h>
#include "snapshot/decode.h"
#include "snapshot/frames.h"

#define WINDOW_MAX    ((uint64_t)128 << 20)
#define PUBLISH_BYTES ((size_t)512 << 10)
#define AHEAD_BYTES   ((size_t)4 << 20)
/* The largest content of a frame that is worth a slot; larger ones are decoded as a stream. */
#define FRAME_CONTENT_MAX ((size_t)4 << 20)
#define FRAMES_MEMORY     ((size_t)40 << 20)
#define FRAMES_SLOTS_MAX  16
#define WORKERS_MAX       8
/* libzstd may write a little beyond a block while copying matches. */
#define OVERRUN      64
#define BLOCK_HEADER 3
#define CHECKSUM     4

struct zstd {
    ZSTD_DCtx *context;
    struct reader *in;
    struct queue *out;
    struct ring *ring;      /* NULL until a frame needs it */
    struct frames *frames;  /* likewise */
    unsigned char *scratch; /* a block that lies across two spans */
    size_t block_max;
    struct err *err;
};

static int input_error(struct zstd *z)
{
    if (z->in->aborted)
        return decode_stopped(z->err);
    return err_set(z->err, ERR_FAILED, "zstd stream is truncated");
}

/* Exactly `len` bytes of input, or NULL with the error set. */
static const unsigned char *take(struct zstd *z, size_t len)
{
    if (reader_ready(z->in) < len && z->ring && !ring_publish(z->ring)) {
        decode_stopped(z->err);
        return NULL;
    }
    size_t got = 0;
    const unsigned char *data = reader_take(z->in, z->scratch, len, &got);
    if (got == len)
        return data;
    input_error(z);
    return NULL;
}

/* A ring that holds the window of the frame, and what the next stage lags behind. */
static int fit_ring(struct zstd *z, const ZSTD_frameHeader *header)
{
    if (header->windowSize > WINDOW_MAX)
        return err_set(z->err, ERR_FAILED,
                       "zstd frame wants a window of %llu MiB, at most 128 MiB is taken: pack it "
                       "with --long=27 or less",
                       header->windowSize >> 20);
    z->block_max = header->blockSizeMax;
    size_t needed = (size_t)header->windowSize + 2 * (z->block_max + OVERRUN) + AHEAD_BYTES;
    if (z->ring && ring_size(z->ring) >= needed)
        return 0;
    if (z->ring && !ring_publish(z->ring))
        return decode_stopped(z->err);
    ring_retire(z->ring);
    z->ring = ring_new(needed, z->out);
    if (!z->ring)
        return err_set(z->err, ERR_FAILED, "out of memory for a zstd window of %llu MiB",
                       header->windowSize >> 20);
    return 0;
}

static int block(struct zstd *z, size_t size)
{
    const unsigned char *data = take(z, size);
    if (!data)
        return -1;
    size_t room_len = z->block_max + OVERRUN;
    unsigned char *room = ring_reserve(z->ring, room_len);
    if (!room)
        return decode_stopped(z->err);
    size_t made = ZSTD_decompressContinue(z->context, room, room_len, data, size);
    if (ZSTD_isError(made))
        return err_set(z->err, ERR_FAILED, "zstd stream is corrupt: %s", ZSTD_getErrorName(made));
    ring_commit(z->ring, made);
    if (ring_unpublished(z->ring) >= PUBLISH_BYTES && !ring_publish(z->ring))
        return decode_stopped(z->err);
    return 0;
}

/* The header's bytes were taken already: they go to the context in the pieces it asks for. */
static int begin_frame(struct zstd *z, const unsigned char *head, size_t len)
{
    ZSTD_decompressBegin(z->context);
    size_t at = 0;
    unsigned char nothing[1];
    while (at < len) {
        size_t size = ZSTD_nextSrcSizeToDecompress(z->context);
        if (size > len - at)
            return err_set(z->err, ERR_FAILED, "zstd stream is corrupt: bad frame header");
        size_t made = ZSTD_decompressContinue(z->context, nothing, 0, head + at, size);
        if (ZSTD_isError(made))
            return err_set(z->err, ERR_FAILED, "zstd stream is corrupt: %s",
                           ZSTD_getErrorName(made));
        at += size;
    }
    return 0;
}

static int skip_frame(struct zstd *z, uint64_t len)
{
    while (len > 0) {
        size_t ready = 0;
        (void)reader_peek(z->in, &ready);
        if (ready == 0)
            return input_error(z);
        size_t piece = len < ready ? (size_t)len : ready;
        reader_skip(z->in, piece);
        len -= piece;
    }
    return 0;
}

/* Reads the frame's header, which says itself how long it is. */
static int read_header(struct zstd *z, unsigned char *head, ZSTD_frameHeader *header)
{
    size_t have = 0;
    size_t want = ZSTD_FRAMEHEADERSIZE_MIN(ZSTD_f_zstd1);
    while (want > 0) {
        size_t got = 0;
        const unsigned char *data = reader_take(z->in, head + have, want - have, &got);
        if (got < want - have)
            return input_error(z);
        if (data != head + have)
            memcpy(head + have, data, got);
        have = want;
        want = ZSTD_getFrameHeader(header, head, have);
        if (ZSTD_isError(want))
            return err_set(z->err, ERR_FAILED,
                           z->in->total > have ? "garbage after the end of the zstd stream"
                                               : "zstd stream is corrupt: bad frame header");
    }
    return (int)have;
}

/* ---- frames decoded side by side ---- */

/* A packed frame that is being collected. */
struct packed {
    unsigned char *data;
    size_t len;
    size_t size;
};

static int collect(struct zstd *z, struct packed *packed, size_t len)
{
    size_t got = 0;
    if (len > packed->size - packed->len)
        return err_set(z->err, ERR_FAILED,
                       "zstd stream is corrupt: a frame is longer than it may be");
    unsigned char *to = packed->data + packed->len;
    const unsigned char *data = reader_take(z->in, to, len, &got);
    if (got < len)
        return input_error(z);
    if (data != to)
        memcpy(to, data, len);
    packed->len += len;
    return 0;
}

/* Blocks tell their own lengths (RFC 8878, 3.1.1.2). */
static int collect_blocks(struct zstd *z, struct packed *packed)
{
    enum { RAW, RLE, COMPRESSED };
    for (;;) {
        if (collect(z, packed, BLOCK_HEADER) != 0)
            return -1;
        const unsigned char *head = packed->data + packed->len - BLOCK_HEADER;
        uint32_t bits = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16;
        uint32_t type = bits >> 1 & 3, size = type == RLE ? 1 : bits >> 3;
        if (type > COMPRESSED || size > ZSTD_BLOCKSIZE_MAX)
            return err_set(z->err, ERR_FAILED, "zstd stream is corrupt: bad block header");
        if (collect(z, packed, size) != 0)
            return -1;
        if (bits & 1)
            return 0;
    }
}

static void *open_context(int level)
{
    (void)level;
    return ZSTD_createDCtx();
}

static void close_context(void *context)
{
    ZSTD_freeDCtx(context);
}

static int decode_frame(void *context, const unsigned char *in, size_t len, unsigned char *out,
                        size_t *out_len, struct err *err)
{
    size_t made = ZSTD_decompressDCtx(context, out, *out_len, in, len);
    if (ZSTD_isError(made))
        return err_set(err, ERR_FAILED, "zstd stream is corrupt: %s", ZSTD_getErrorName(made));
    if (made != *out_len)
        return err_set(err, ERR_FAILED, "zstd stream is corrupt: a frame is shorter than it says");
    return 0;
}

static int fit_frames(struct zstd *z, size_t content)
{
    if (z->frames && frames_out_max(z->frames) >= content)
        return 0;
    if (z->frames && frames_drain(z->frames, z->err) != 0)
        return -1;
    frames_retire(steal(z->frames));
    /* What does not pack grows a little; blocks that were flushed early add to that. */
    size_t packed = ZSTD_compressBound(content) + content / 8 + ((size_t)64 << 10);
    size_t slots = FRAMES_MEMORY / (packed + content);
    const struct frames_spec spec = {.in_max = packed,
                                     .out_max = content,
                                     .slots = slots < FRAMES_SLOTS_MAX ? slots : FRAMES_SLOTS_MAX,
                                     .workers = frames_workers(WORKERS_MAX),
                                     .open = open_context,
                                     .close = close_context,
                                     .work = decode_frame};
    return frames_new(&spec, z->out, &z->frames, z->err);
}

static int whole_frame(struct zstd *z, const unsigned char *head, size_t len,
                       const ZSTD_frameHeader *header, struct mark mark)
{
    struct packed packed = {.len = len};
    size_t content = (size_t)header->frameContentSize;
    if (z->ring && !ring_publish(z->ring))
        return decode_stopped(z->err);
    if (fit_frames(z, content) != 0)
        return -1;
    packed.data = frames_begin(z->frames, &packed.size);
    if (!packed.data)
        return frames_drain(z->frames, z->err);
    memcpy(packed.data, head, len);
    if (collect_blocks(z, &packed) != 0 ||
        (header->checksumFlag && collect(z, &packed, CHECKSUM) != 0))
        return -1;
    frames_submit(z->frames, packed.len, content, mark);
    return 0;
}

/* ---- frames decoded as a stream ---- */

static int streamed_frame(struct zstd *z, const unsigned char *head, size_t len,
                          const ZSTD_frameHeader *header, struct mark mark)
{
    if (z->frames && frames_drain(z->frames, z->err) != 0)
        return -1;
    if (fit_ring(z, header) != 0 || begin_frame(z, head, len) != 0)
        return -1;
    if (!ring_mark(z->ring, mark))
        return decode_stopped(z->err);
    size_t size;
    while ((size = ZSTD_nextSrcSizeToDecompress(z->context)) > 0) {
        if (block(z, size) != 0)
            return -1;
    }
    return 0;
}

static int frame(struct zstd *z)
{
    unsigned char head[ZSTD_FRAMEHEADERSIZE_MAX];
    ZSTD_frameHeader header;
    struct mark mark = reader_mark(z->in, 'z');
    int len = read_header(z, head, &header);
    if (len < 0)
        return -1;
    if (header.frameType == ZSTD_skippableFrame)
        return skip_frame(z, header.frameContentSize);
    if (header.dictID != 0)
        return err_set(z->err, ERR_FAILED, "zstd frame needs a dictionary, which is not supported");
    /* One of no length, too, is left to the stream. */
    if (header.frameContentSize - 1 < FRAME_CONTENT_MAX)
        return whole_frame(z, head, (size_t)len, &header, mark);
    return streamed_frame(z, head, (size_t)len, &header, mark);
}

static int finish(struct zstd *z)
{
    if (z->frames && frames_drain(z->frames, z->err) != 0)
        return -1;
    return !z->ring || ring_publish(z->ring) ? 0 : decode_stopped(z->err);
}

static int all_frames(struct zstd *z)
{
    for (;;) {
        size_t len = 0;
        (void)reader_peek(z->in, &len);
        if (z->in->aborted)
            return decode_stopped(z->err);
        if (len == 0)
            return finish(z);
        if (frame(z) != 0)
            return -1;
    }
}

int decode_zstd(struct reader *in, struct queue *out, struct err *err)
{
    struct zstd z = {.in = in, .out = out, .err = err};
    z.context = ZSTD_createDCtx();
    if (!z.context)
        return err_set(err, ERR_FAILED, "out of memory");
    z.scratch = xmalloc(ZSTD_BLOCKSIZE_MAX + BLOCK_HEADER);
    int result = all_frames(&z);
    frames_retire(z.frames);
    ring_retire(z.ring);
    free(z.scratch);
    ZSTD_freeDCtx(z.context);
    return result;
}
