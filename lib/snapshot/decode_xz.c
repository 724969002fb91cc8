#include <lzma.h>
#include "snapshot/decode.h"

/* The largest preset (-9) wants 65 MiB. */
#define MEMORY_LIMIT ((uint64_t)160 << 20)

static int broken(lzma_ret code, struct err *err)
{
    switch (code) {
    case LZMA_MEMLIMIT_ERROR:
        return err_set(err, ERR_FAILED,
                       "xz stream wants more than 160 MiB of memory, pack it with "
                       "a preset up to -9");
    case LZMA_BUF_ERROR:
        return err_set(err, ERR_FAILED, "xz stream is truncated");
    case LZMA_OPTIONS_ERROR:
        return err_set(err, ERR_FAILED, "xz stream uses a filter that is not supported");
    case LZMA_MEM_ERROR:
        return err_set(err, ERR_FAILED, "out of memory");
    default:
        return err_set(err, ERR_FAILED, "xz stream is corrupt or followed by garbage");
    }
}

/* 1 at the end, 0 after a step, -1. */
static int step(lzma_stream *xz, struct reader *in, struct ring *ring, struct err *err)
{
    size_t len = 0;
    const unsigned char *data = reader_peek(in, &len);
    if (in->aborted)
        return decode_stopped(err);
    unsigned char *room = ring_reserve(ring, DECODE_STEP);
    if (!room)
        return decode_stopped(err);
    xz->next_in = data;
    xz->avail_in = len;
    xz->next_out = room;
    xz->avail_out = DECODE_STEP;
    lzma_ret code = lzma_code(xz, len == 0 ? LZMA_FINISH : LZMA_RUN);
    reader_skip(in, len - xz->avail_in);
    ring_commit(ring, DECODE_STEP - xz->avail_out);
    if (code != LZMA_OK && code != LZMA_STREAM_END)
        return broken(code, err);
    if (!ring_publish(ring))
        return decode_stopped(err);
    return code == LZMA_STREAM_END;
}

int decode_xz(struct reader *in, struct queue *out, struct err *err)
{
    lzma_stream xz = LZMA_STREAM_INIT;
    lzma_ret code = lzma_stream_decoder(&xz, MEMORY_LIMIT, LZMA_CONCATENATED);
    if (code != LZMA_OK)
        return broken(code, err);
    struct ring *ring = ring_new(DECODE_RING, out);
    int result = ring ? 0 : err_set(err, ERR_FAILED, "out of memory");
    while (result == 0)
        result = step(&xz, in, ring, err);
    if (result == 1)
        result = ring_drain(ring) ? 0 : decode_stopped(err);
    ring_retire(ring);
    lzma_end(&xz);
    return result;
}
