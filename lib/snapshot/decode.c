#include <string.h>
#include "snapshot/decode.h"

int decode_stopped(struct err *err)
{
    return err_set(err, ERR_FAILED, "stopped because another stage failed");
}

static int pass_on(struct reader *in, struct queue *out, struct err *err)
{
    /* The reader holds a span of which nothing was read; it changes hands whole. */
    for (;;) {
        size_t len = 0;
        (void)reader_peek(in, &len);
        if (in->aborted)
            return decode_stopped(err);
        if (len == 0)
            return 0;
        struct span span = in->span;
        span.mark.format = 'n';
        in->span = (struct span){0};
        in->total += span.len;
        /* One that is not taken is not given back either: others before it may still be read. */
        if (!queue_put(out, span))
            return decode_stopped(err);
    }
}

/* A skippable frame may come first: 0x184D2A50 to 0x184D2A5F, little-endian. */
static bool is_zstd(const unsigned char *data)
{
    return memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0 ||
           ((data[0] & 0xf0) == 0x50 && memcmp(data + 1, "\x2a\x4d\x18", 3) == 0);
}

int decode(struct reader *in, char format, struct queue *out, struct err *err)
{
    size_t len = 0;
    const unsigned char *data = reader_peek(in, &len);
    if (in->aborted)
        return decode_stopped(err);
    if (len == 0)
        return err_set(err, ERR_FAILED, "the archive is empty");
    if (format == 'n')
        return pass_on(in, out, err);
    /* The first span is a part of an object: shorter than a magic only when all of the object is.
     */
    if (len >= 4 && is_zstd(data))
        return decode_zstd(in, out, err);
    if (len >= 2 && memcmp(data, "\x1f\x8b", 2) == 0)
        return decode_gzip(in, out, err);
    if (len >= 6 && memcmp(data,
                           "\xfd"
                           "7zXZ",
                           6) == 0)
        return decode_xz(in, out, err);
    return pass_on(in, out, err);
}
