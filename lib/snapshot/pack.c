#include "snapshot/pack.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include "snapshot/decode.h"
#include "snapshot/frames.h"
#include "snapshot/tar_write.h"

#define HEAD_MAX    ((size_t)8 << 20)
#define SLOTS_AHEAD 4 /* frames that wait while all workers are busy */

struct pack {
    struct pack_spec spec;
    struct frames *frames;
    unsigned char *at; /* the frame that is being filled; NULL: none */
    size_t used;
    atomic_uint_least64_t done;
    pthread_t thread;
};

/* ---- the workers' part ---- */

static void *open_context(int level)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (context && (ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)) ||
                    ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)))) {
        ZSTD_freeCCtx(context);
        return NULL;
    }
    return context;
}

static void close_context(void *context)
{
    ZSTD_freeCCtx(context);
}

static int compress_frame(void *context, const unsigned char *in, size_t len, unsigned char *out,
                          size_t *out_len, struct err *err)
{
    size_t made = ZSTD_compress2(context, out, *out_len, in, len);
    if (ZSTD_isError(made))
        return err_set(err, ERR_FAILED, "cannot compress: %s", ZSTD_getErrorName(made));
    *out_len = made;
    return 0;
}

static int start_frames(struct pack *pack, struct err *err)
{
    int workers = frames_workers(FRAMES_WORKERS_MAX);
    const struct frames_spec spec = {.in_max = PACK_FRAME,
                                     .out_max = ZSTD_compressBound(PACK_FRAME),
                                     .slots = (size_t)workers + SLOTS_AHEAD,
                                     .workers = workers,
                                     .level = pack->spec.level,
                                     .open = open_context,
                                     .close = close_context,
                                     .work = compress_frame};
    return frames_new(&spec, pack->spec.out, &pack->frames, err);
}

/* ---- the archive, frame by frame ---- */

static void submit(struct pack *pack)
{
    if (!pack->at || pack->used == 0)
        return;
    frames_submit(pack->frames, pack->used, ZSTD_compressBound(PACK_FRAME), (struct mark){0});
    pack->at = NULL;
    pack->used = 0;
}

/* Room for what comes next, at least one byte. */
static unsigned char *room(struct pack *pack, size_t *len, struct err *err)
{
    if (pack->at && pack->used == PACK_FRAME)
        submit(pack);
    if (!pack->at) {
        size_t size = 0;
        pack->at = frames_begin(pack->frames, &size);
    }
    if (!pack->at) {
        (void)!frames_drain(pack->frames, err);
        return NULL;
    }
    *len = PACK_FRAME - pack->used;
    return pack->at + pack->used;
}

static int add_bytes(struct pack *pack, const void *data, size_t len, struct err *err)
{
    const unsigned char *from = data;
    while (len > 0) {
        size_t free_len = 0;
        unsigned char *to = room(pack, &free_len, err);
        if (!to)
            return -1;
        size_t piece = len < free_len ? len : free_len;
        memcpy(to, from, piece);
        pack->used += piece;
        from += piece;
        len -= piece;
    }
    return 0;
}

static int add_zeros(struct pack *pack, size_t len, struct err *err)
{
    static const unsigned char zeros[2 * TAR_BLOCK];
    return add_bytes(pack, zeros, len, err);
}

/* Straight from the file into the frame. */
static int add_extent(struct pack *pack, int fd, struct tar_extent extent, struct err *err)
{
    while (extent.len > 0) {
        size_t free_len = 0;
        unsigned char *to = room(pack, &free_len, err);
        if (!to)
            return -1;
        size_t want = extent.len < free_len ? (size_t)extent.len : free_len;
        ssize_t got = pread(fd, to, want, (off_t)extent.offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, ERR_FAILED, errno, "cannot read it");
        if (got == 0)
            return err_set(err, ERR_FAILED, "it became shorter while it was packed");
        pack->used += (size_t)got;
        extent.offset += (uint64_t)got;
        extent.len -= (uint64_t)got;
        atomic_fetch_add(&pack->done, (uint64_t)got);
    }
    return 0;
}

static int add_content(struct pack *pack, int fd, const struct tar_entry *entry, struct err *err)
{
    for (size_t i = 0; i < entry->extent_count; i++) {
        if (add_extent(pack, fd, entry->extents[i], err) != 0)
            return -1;
    }
    return add_zeros(pack, (size_t)(-tar_content_len(entry) % TAR_BLOCK), err);
}

/* What the archive says of it; paths are borrowed. */
static struct tar_entry describe(const struct scan_entry *found)
{
    const struct stat *st = &found->st;
    return (struct tar_entry){.type = found->type,
                              .path = found->path,
                              .link = found->link,
                              .mode = found->type == TAR_SYMLINK ? 0777 : st->st_mode & 01777,
                              .uid = st->st_uid,
                              .gid = st->st_gid,
                              .mtime = st->st_mtim.tv_sec,
                              .mtime_nsec = st->st_mtim.tv_nsec,
                              .size = found->type == TAR_FILE ? (uint64_t)st->st_size : 0};
}

static int add_head(struct pack *pack, const struct tar_entry *entry, struct err *err)
{
    autobuf struct buf head = BUF_INIT(HEAD_MAX);
    if (tar_write_head(entry, &head, err) != 0)
        return -1;
    return add_bytes(pack, head.data, head.len, err);
}

static int add_file(struct pack *pack, const struct scan_entry *found, struct err *err)
{
    struct tar_entry entry = describe(found);
    autoclose int fd = scan_open(pack->spec.folder_fd, found, err);
    if (fd < 0 || extents_find(fd, entry.size, &entry.extents, &entry.extent_count, err) != 0)
        return -1;
    int result = add_head(pack, &entry, err);
    if (result == 0)
        result = add_content(pack, fd, &entry, err);
    free(entry.extents);
    return result;
}

static int add_entry(struct pack *pack, const struct scan_entry *found, struct err *err)
{
    if (found->type == TAR_FILE)
        return add_file(pack, found, err);
    struct tar_entry entry = describe(found);
    return add_head(pack, &entry, err);
}

static int pack_all(struct pack *pack, struct err *err)
{
    const struct scan *scan = pack->spec.scan;
    for (size_t i = 0; i < scan->count; i++) {
        if (add_entry(pack, &scan->entries[i], err) != 0)
            return err_prefix(err, "'%s'", scan->entries[i].path);
    }
    if (add_zeros(pack, 2 * TAR_BLOCK, err) != 0)
        return -1;
    submit(pack);
    if (frames_drain(pack->frames, err) != 0)
        return -1;
    return scan_check(pack->spec.folder_fd, scan, err);
}

static void *pack_main(void *arg)
{
    struct pack *pack = arg;
    struct err err = ERR_INIT;
    if (pack_all(pack, &err) == 0) {
        queue_end(pack->spec.out);
    } else {
        flow_fail(pack->spec.flow, &err);
        queue_abort(pack->spec.out);
    }
    err_clear(&err);
    frames_retire(pack->frames);
    return NULL;
}

/* ---- life ---- */

int pack_start(const struct pack_spec *spec, struct pack **out, struct err *err)
{
    struct pack *pack = xcalloc(1, sizeof(*pack));
    pack->spec = *spec;
    if (start_frames(pack, err) != 0) {
        free(pack);
        return -1;
    }
    int code = flow_thread(&pack->thread, pack_main, pack);
    if (code != 0) {
        frames_retire(pack->frames);
        free(pack);
        return err_set_errno(err, ERR_FAILED, code, "cannot start a thread");
    }
    *out = pack;
    return 0;
}

uint64_t pack_done(const struct pack *pack)
{
    return atomic_load(&pack->done);
}

void pack_join(struct pack *pack)
{
    if (!pack)
        return;
    pthread_join(pack->thread, NULL);
    free(pack);
}
