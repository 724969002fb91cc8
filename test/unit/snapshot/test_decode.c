#include "archive.h"
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include "snapshot/decode.h"

/* Text that packs well, with noise in between. */
static void sample(struct buf *out, size_t len)
{
    uint32_t state = 12345;
    while (out->len < len) {
        state = state * 1664525 + 1013904223;
        if ((state >> 28) == 0)
            assert_int_equal(buf_add(out, (const char[3000]){0}, 3000), 0);
        else
            assert_int_equal(buf_addf(out, "line %u of the sample, %x\n", state >> 20, state), 0);
    }
    out->len = len;
}

static void pack_zstd(struct buf *out, const struct buf *in, int level, int window_log)
{
    size_t room = ZSTD_compressBound(in->len);
    autofree char *packed = xmalloc(room);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (window_log) {
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
        ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    }
    size_t len = ZSTD_compress2(context, packed, room, in->data, in->len);
    ZSTD_freeCCtx(context);
    assert_false(ZSTD_isError(len));
    assert_int_equal(buf_add(out, packed, len), 0);
}

/* The form that snapshot-save writes: frames of their own that say how much they hold. */
static void pack_frames(struct buf *out, const struct buf *in, size_t content)
{
    for (size_t at = 0; at < in->len; at += content) {
        struct buf piece = {.data = in->data + at,
                            .len = in->len - at < content ? in->len - at : content};
        pack_zstd(out, &piece, 1, 0);
    }
}

static void pack_gzip(struct buf *out, const struct buf *in)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, in->len);
    autofree char *packed = xmalloc(room);
    z.next_in = (unsigned char *)in->data;
    z.avail_in = (unsigned)in->len;
    z.next_out = (unsigned char *)packed;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(buf_add(out, packed, z.total_out), 0);
    deflateEnd(&z);
}

static void pack_xz(struct buf *out, const struct buf *in)
{
    size_t room = lzma_stream_buffer_bound(in->len), len = 0;
    autofree char *packed = xmalloc(room);
    assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, (const uint8_t *)in->data,
                                             in->len, (uint8_t *)packed, &len, room),
                     LZMA_OK);
    assert_int_equal(buf_add(out, packed, len), 0);
}

enum { ZSTD_WHOLE, ZSTD_STREAM, ZSTD_FRAMES, GZIP, XZ, PLAIN };

static void pack(struct buf *out, const struct buf *in, int format)
{
    switch (format) {
    case ZSTD_WHOLE:
        pack_zstd(out, in, 1, 0);
        break;
    case ZSTD_STREAM:
        pack_zstd(out, in, 1, 18);
        break;
    case ZSTD_FRAMES:
        pack_frames(out, in, 50000);
        break;
    case GZIP:
        pack_gzip(out, in);
        break;
    case XZ:
        pack_xz(out, in);
        break;
    default:
        assert_int_equal(buf_add(out, in->data, in->len), 0);
    }
}

struct work {
    struct queue *in;
    struct queue *out;
    struct err err;
    int result;
};

static void *decoder(void *arg)
{
    struct work *work = arg;
    struct reader in;
    reader_init(&in, work->in);
    work->result = decode(&in, 0, work->out, &work->err);
    if (work->result == 0)
        queue_end(work->out);
    else
        queue_abort(work->out);
    reader_close(&in);
    return NULL;
}

/* Decodes with a slow or a quick reader behind; stops after `stop` bytes. */
static int decode_all(const struct buf *packed, size_t step, size_t stop, struct buf *out,
                      struct err *err)
{
    struct work work = {.in = queue_of(packed->data, packed->len, step), .out = queue_new(4)};
    struct reader reader;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, decoder, &work), 0);
    reader_init(&reader, work.out);
    while (out->len < stop) {
        size_t len;
        const unsigned char *data = reader_peek(&reader, &len);
        if (len == 0)
            break;
        assert_int_equal(buf_add(out, data, len), 0);
        reader_skip(&reader, len);
    }
    reader_close(&reader);
    pthread_join(thread, NULL);
    queue_free(work.in);
    queue_free(work.out);
    err_move(err, &work.err);
    return work.result;
}

static void assert_decodes(const struct buf *packed, const struct buf *wanted)
{
    static const size_t steps[] = {1 << 20, 65537, 1000};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        autobuf struct buf out = BUF_INIT(BUF_LARGE);
        struct err err = ERR_INIT;
        assert_good(decode_all(packed, steps[i], SIZE_MAX, &out, &err), err);
        assert_int_equal(out.len, wanted->len);
        assert_memory_equal(out.data, wanted->data, wanted->len);
    }
}

static void assert_breaks(const struct buf *packed, const char *message)
{
    autobuf struct buf out = BUF_INIT(BUF_LARGE);
    struct err err = ERR_INIT;
    assert_int_equal(decode_all(packed, 4096, SIZE_MAX, &out, &err), -1);
    assert_error(err, ERR_FAILED, message);
}

static void test_zstd(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    autobuf struct buf packed = BUF_INIT(BUF_LARGE);
    sample(&text, 20 << 20); /* the ring goes round more than once */
    pack_zstd(&packed, &text, 3, 0);
    assert_decodes(&packed, &text);
    buf_reset(&packed);
    pack_zstd(&packed, &text, 1, 10); /* the least window: blocks of 1 KiB */
    assert_decodes(&packed, &text);
    buf_reset(&packed);
    pack_zstd(&packed, &text, 1, 23); /* no content size in the frame */
    assert_decodes(&packed, &text);
}

static void test_zstd_frames_in_a_row(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    autobuf struct buf twice = BUF_INIT(BUF_LARGE);
    autobuf struct buf packed = BUF_INIT(BUF_LARGE);
    autobuf struct buf nothing = BUF_INIT(BUF_SMALL);
    sample(&text, 3 << 20);
    buf_add(&packed, "\x5a\x2a\x4d\x18\x03\0\0\0abc", 11); /* a skippable one first */
    pack_zstd(&packed, &text, 1, 17);
    pack_zstd(&packed, &nothing, 1, 0);
    buf_add(&packed, "\x5e\x2a\x4d\x18\x01\0\0\0x", 9);
    pack_zstd(&packed, &text, 1, 24); /* a larger ring is needed from here on */
    buf_add(&twice, text.data, text.len);
    buf_add(&twice, text.data, text.len);
    assert_decodes(&packed, &twice);
}

static void test_zstd_independent_frames(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    autobuf struct buf packed = BUF_INIT(BUF_LARGE);
    sample(&text, 30 << 20);
    pack_frames(&packed, &text, 1 << 20);
    assert_decodes(&packed, &text);
    buf_reset(&packed);
    pack_frames(&packed, &text, 5 << 20); /* too large for a slot */
    assert_decodes(&packed, &text);
    buf_reset(&packed);
    pack_frames(&packed, &text, 100000);
    assert_decodes(&packed, &text);
}

/* Whole ones and streamed ones in turn, of sizes that grow. */
static void test_zstd_frames_of_all_kinds(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    autobuf struct buf packed = BUF_INIT(BUF_LARGE);
    sample(&text, 20 << 20);
    size_t at = 0, n = 0;
    for (size_t content = 1000; at < text.len; content = content * 3 / 2, n++) {
        size_t len = text.len - at < content ? text.len - at : content;
        struct buf piece = {.data = text.data + at, .len = len};
        pack_zstd(&packed, &piece, 1, n % 3 == 2 ? 20 : 0);
        at += len;
    }
    assert_decodes(&packed, &text);
}

static void test_gzip(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    autobuf struct buf packed = BUF_INIT(BUF_LARGE);
    sample(&text, 12 << 20);
    pack_gzip(&packed, &text);
    assert_decodes(&packed, &text);
    autobuf struct buf twice = BUF_INIT(BUF_LARGE);
    pack_gzip(&packed, &text); /* two members */
    buf_add(&twice, text.data, text.len);
    buf_add(&twice, text.data, text.len);
    assert_decodes(&packed, &twice);
}

static void test_xz(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    autobuf struct buf packed = BUF_INIT(BUF_LARGE);
    autobuf struct buf twice = BUF_INIT(BUF_LARGE);
    sample(&text, 3 << 20);
    pack_xz(&packed, &text);
    pack_xz(&packed, &text);
    buf_add(&twice, text.data, text.len);
    buf_add(&twice, text.data, text.len);
    assert_decodes(&packed, &twice);
}

static void test_no_compression(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    sample(&text, 3 << 20);
    assert_decodes(&text, &text);
    autobuf struct buf nothing = BUF_INIT(BUF_SMALL);
    assert_breaks(&nothing, "the archive is empty");
}

static void test_truncated_anywhere(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    sample(&text, 300000);
    static const char *const messages[] = {"zstd stream is truncated", "zstd stream is truncated",
                                           "zstd stream is truncated", "gzip stream is truncated",
                                           "xz stream is truncated"};
    for (int format = ZSTD_WHOLE; format <= XZ; format++) {
        autobuf struct buf packed = BUF_INIT(BUF_LARGE);
        pack(&packed, &text, format);
        const size_t whole = packed.len;
        for (size_t cut = 1; cut < 40; cut++) {
            packed.len = whole - cut;
            assert_breaks(&packed, messages[format]);
        }
        for (packed.len = 7; packed.len < whole - 1; packed.len += whole / 23)
            assert_breaks(&packed, messages[format]);
    }
}

static void test_garbage_after_the_end(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    autobuf struct buf packed = BUF_INIT(BUF_LARGE);
    sample(&text, 300000);
    for (int format = ZSTD_WHOLE; format <= ZSTD_FRAMES; format++) {
        pack(&packed, &text, format);
        buf_adds(&packed, "garbage");
        assert_breaks(&packed, "garbage after the end of the zstd stream");
        buf_reset(&packed);
    }
    pack_gzip(&packed, &text);
    buf_adds(&packed, "garbage");
    assert_breaks(&packed, "garbage after the end of the gzip stream");
    buf_reset(&packed);
    pack_xz(&packed, &text);
    buf_adds(&packed, "garbage after");
    assert_breaks(&packed, "xz stream is corrupt or followed by garbage");
}

static void test_flipped_bytes(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    sample(&text, 300000);
    for (int format = ZSTD_WHOLE; format <= XZ; format++) {
        autobuf struct buf packed = BUF_INIT(BUF_LARGE);
        pack(&packed, &text, format);
        int refused = 0;
        for (size_t at = 30; at < packed.len; at += packed.len / 97) {
            autobuf struct buf out = BUF_INIT(BUF_LARGE);
            struct err err = ERR_INIT;
            packed.data[at] ^= 0x20;
            /* Not every bit counts, but wrong bytes never pass. */
            if (decode_all(&packed, 4096, SIZE_MAX, &out, &err) == 0) {
                assert_int_equal(out.len, text.len);
                assert_memory_equal(out.data, text.data, text.len);
            } else {
                refused++;
            }
            err_clear(&err);
            packed.data[at] ^= 0x20;
        }
        assert_true(refused > 90);
    }
}

/* The reader behind gives up: the decoder must end, wherever it is. */
static void test_reader_gives_up(void **state)
{
    (void)state;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    sample(&text, 30 << 20);
    for (int format = ZSTD_WHOLE; format <= PLAIN; format++) {
        autobuf struct buf packed = BUF_INIT(BUF_LARGE);
        pack(&packed, &text, format);
        for (size_t stop = 1; stop < text.len; stop += text.len / 5) {
            autobuf struct buf out = BUF_INIT(BUF_LARGE);
            struct err err = ERR_INIT;
            assert_int_equal(decode_all(&packed, 100000, stop, &out, &err), -1);
            assert_error(err, ERR_FAILED, "stopped because another stage failed");
        }
    }
}

static void test_zstd_window_too_large(void **state)
{
    (void)state;
    autobuf struct buf packed = BUF_INIT(BUF_SMALL);
    /* magic, no flags, window of 2^28 bytes (RFC 8878, 3.1.1.1) */
    buf_add(&packed, "\x28\xb5\x2f\xfd\x00\x90\0\0\0\0\0\0", 12);
    assert_breaks(&packed, "zstd frame wants a window of 256 MiB, at most 128 MiB is taken: pack "
                           "it with --long=27 or less");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zstd),
        cmocka_unit_test(test_zstd_frames_in_a_row),
        cmocka_unit_test(test_zstd_independent_frames),
        cmocka_unit_test(test_zstd_frames_of_all_kinds),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_xz),
        cmocka_unit_test(test_no_compression),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_garbage_after_the_end),
        cmocka_unit_test(test_flipped_bytes),
        cmocka_unit_test(test_reader_gives_up),
        cmocka_unit_test(test_zstd_window_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
