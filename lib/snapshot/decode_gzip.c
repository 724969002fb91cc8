/* gzip over ISA-L, which decodes about twice as fast as zlib. */
#include <isa-l/igzip_lib.h>
#include "snapshot/decode.h"

static void freep(struct inflate_state **state)
{
    free(*state);
}

static int broken(int code, struct err *err)
{
    switch (code) {
    case ISAL_INCORRECT_CHECKSUM:
        return err_set(err, ERR_FAILED, "gzip stream is corrupt: its checksum is wrong");
    case ISAL_INVALID_WRAPPER:
        return err_set(err, ERR_FAILED, "garbage after the end of the gzip stream");
    case ISAL_UNSUPPORTED_METHOD:
        return err_set(err, ERR_FAILED, "gzip stream has an unknown compression method");
    default:
        return err_set(err, ERR_FAILED, "gzip stream is corrupt");
    }
}

/* One step: as much as the room and the input at hand allow. */
static int step(struct inflate_state *state, struct reader *in, struct ring *ring, struct err *err)
{
    size_t len = 0;
    const unsigned char *data = reader_peek(in, &len);
    if (in->aborted)
        return decode_stopped(err);
    if (len == 0)
        return err_set(err, ERR_FAILED, "gzip stream is truncated");
    unsigned char *room = ring_reserve(ring, DECODE_STEP);
    if (!room)
        return decode_stopped(err);
    if (len > UINT32_MAX)
        len = UINT32_MAX;
    state->next_in = (uint8_t *)data;
    state->avail_in = (uint32_t)len;
    state->next_out = room;
    state->avail_out = DECODE_STEP;
    int code = isal_inflate(state);
    if (code != ISAL_DECOMP_OK && code != ISAL_END_INPUT && code != ISAL_OUT_OVERFLOW)
        return broken(code, err);
    reader_skip(in, len - state->avail_in);
    ring_commit(ring, DECODE_STEP - state->avail_out);
    return ring_publish(ring) ? 0 : decode_stopped(err);
}

static int members(struct inflate_state *state, struct reader *in, struct ring *ring,
                   struct err *err)
{
    isal_inflate_init(state);
    state->crc_flag = ISAL_GZIP;
    for (;;) {
        if (step(state, in, ring, err) != 0)
            return -1;
        if (state->block_state != ISAL_BLOCK_FINISH)
            continue;
        size_t len = 0;
        const unsigned char *data = reader_peek(in, &len);
        if (in->aborted)
            return decode_stopped(err);
        if (len == 0)
            return 0;
        if (data[0] != 0x1f)
            return broken(ISAL_INVALID_WRAPPER, err);
        isal_inflate_reset(state);
        state->crc_flag = ISAL_GZIP;
    }
}

int decode_gzip(struct reader *in, struct queue *out, struct err *err)
{
    CLEANUP(freep) struct inflate_state *state = xcalloc(1, sizeof(*state));
    struct ring *ring = ring_new(DECODE_RING, out);
    if (!ring)
        return err_set(err, ERR_FAILED, "out of memory");
    int result = members(state, in, ring, err);
    if (result == 0 && !ring_drain(ring))
        result = decode_stopped(err);
    ring_retire(ring);
    return result;
}
