#include "snapshot/parts.h"

#include <string.h>
#include <sys/mman.h>
#include <zstd.h>
#include "necoops/base/buf.h"
#include "necoops/base/digest.h"

/* https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
 */
#define SKIPPABLE_MAGIC 0x184D2A5Eu
#define SEEKABLE_MAGIC  0x8F92EAB1u
#define SEEKABLE_FOOTER 9

struct parts {
    struct queue *in;
    struct flow *flow;
    unsigned char *memory;
    size_t memory_len;
    size_t part_size;
    struct part *all;
    size_t pool;
    struct buf table; /* of the frames */
    uint32_t frames;
    size_t made;
    struct part *current; /* being filled; the thread's */
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct part **idle;
    size_t idle_count;
    struct part **ready; /* a ring of `pool` */
    size_t ready_first, ready_count;
    bool ended;
    bool stopping;
};

/* ---- the thread ---- */

static struct part *wait_for_idle(struct parts *parts)
{
    struct part *part = NULL;
    pthread_mutex_lock(&parts->lock);
    while (parts->idle_count == 0 && !parts->stopping)
        pthread_cond_wait(&parts->moved, &parts->lock);
    if (!parts->stopping)
        part = parts->idle[--parts->idle_count];
    pthread_mutex_unlock(&parts->lock);
    return part;
}

static void hand_over(struct parts *parts)
{
    struct part *part = steal(parts->current);
    part->crc = crc32c(0, part->data, part->len);
    part->id = crc64(0, part->data, part->len);
    part->index = parts->made++;
    pthread_mutex_lock(&parts->lock);
    parts->ready[(parts->ready_first + parts->ready_count++) % parts->pool] = part;
    pthread_mutex_unlock(&parts->lock);
    flow_wake(parts->flow);
}

/* False: it is to stop. */
static bool add(struct parts *parts, const unsigned char *data, size_t len)
{
    while (len > 0) {
        if (!parts->current) {
            parts->current = wait_for_idle(parts);
            if (!parts->current)
                return false;
            parts->current->len = 0;
        }
        struct part *part = parts->current;
        size_t free_len = parts->part_size - part->len;
        size_t piece = len < free_len ? len : free_len;
        memcpy(part->data + part->len, data, piece);
        part->len += piece;
        data += piece;
        len -= piece;
        if (part->len == parts->part_size)
            hand_over(parts);
    }
    return true;
}

static void add_u32(struct buf *out, uint32_t value)
{
    const unsigned char bytes[] = {(unsigned char)value, (unsigned char)(value >> 8),
                                   (unsigned char)(value >> 16), (unsigned char)(value >> 24)};
    buf_add(out, bytes, sizeof(bytes));
}

static bool add_frame(struct parts *parts, const struct span *span)
{
    add_u32(&parts->table, (uint32_t)span->len);
    add_u32(&parts->table, (uint32_t)ZSTD_getFrameContentSize(span->data, span->len));
    parts->frames++;
    return add(parts, span->data, span->len);
}

/* A table that would be too large is left out: nothing needs it. */
static bool add_table(struct parts *parts)
{
    autobuf struct buf head = BUF_INIT(64);
    add_u32(&head, SKIPPABLE_MAGIC);
    add_u32(&head, (uint32_t)parts->table.len + SEEKABLE_FOOTER);
    add_u32(&parts->table, parts->frames);
    buf_addc(&parts->table, '\0');
    add_u32(&parts->table, SEEKABLE_MAGIC);
    if (parts->table.overflowed)
        return true;
    return add(parts, (const unsigned char *)head.data, head.len) &&
           add(parts, (const unsigned char *)parts->table.data, parts->table.len);
}

/* Until the queue has ended: then it is true. */
static bool cut(struct parts *parts, struct reader *in)
{
    for (;;) {
        size_t len = 0;
        const unsigned char *data = reader_peek(in, &len);
        if (in->aborted)
            return false;
        if (len == 0)
            break;
        const struct span span = {.data = data, .len = len};
        if (!add_frame(parts, &span))
            return false;
        reader_skip(in, len);
    }
    if (!add_table(parts))
        return false;
    if (parts->current)
        hand_over(parts);
    return true;
}

static void *parts_main(void *arg)
{
    struct parts *parts = arg;
    struct reader in;
    reader_init(&in, parts->in);
    bool whole = cut(parts, &in);
    reader_close(&in);
    pthread_mutex_lock(&parts->lock);
    parts->ended = whole;
    pthread_mutex_unlock(&parts->lock);
    flow_wake(parts->flow);
    return NULL;
}

/* ---- life ---- */

static void parts_free(struct parts *parts)
{
    if (parts->memory)
        munmap(parts->memory, parts->memory_len);
    pthread_cond_destroy(&parts->moved);
    pthread_mutex_destroy(&parts->lock);
    buf_clear(&parts->table);
    free(parts->all);
    free(parts->idle);
    free(parts->ready);
    free(parts);
}

static int make_pool(struct parts *parts, struct err *err)
{
    void *memory = MAP_FAILED;
    if (!__builtin_mul_overflow(parts->part_size, parts->pool, &parts->memory_len))
        memory = mmap(NULL, parts->memory_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
    if (memory == MAP_FAILED)
        return err_set(err, ERR_FAILED, "out of memory for %zu parts of %zu bytes", parts->pool,
                       parts->part_size);
    parts->memory = memory;
    parts->all = xcalloc(parts->pool, sizeof(*parts->all));
    parts->idle = xcalloc(parts->pool, sizeof(*parts->idle));
    parts->ready = xcalloc(parts->pool, sizeof(*parts->ready));
    for (size_t i = 0; i < parts->pool; i++) {
        parts->all[i].data = parts->memory + i * parts->part_size;
        parts->idle[parts->idle_count++] = &parts->all[i];
    }
    return 0;
}

int parts_start(struct queue *in, size_t part_size, size_t pool, struct flow *flow,
                struct parts **out, struct err *err)
{
    struct parts *parts = xcalloc(1, sizeof(*parts));
    *parts = (struct parts){.in = in, .flow = flow, .part_size = part_size, .pool = pool};
    pthread_mutex_init(&parts->lock, NULL);
    pthread_cond_init(&parts->moved, NULL);
    buf_init(&parts->table, BUF_LARGE);
    if (make_pool(parts, err) != 0) {
        parts_free(parts);
        return -1;
    }
    int code = flow_thread(&parts->thread, parts_main, parts);
    if (code != 0) {
        parts_free(parts);
        return err_set_errno(err, ERR_FAILED, code, "cannot start a thread");
    }
    *out = parts;
    return 0;
}

void parts_join(struct parts *parts)
{
    if (!parts)
        return;
    pthread_mutex_lock(&parts->lock);
    parts->stopping = true;
    bool ended = parts->ended;
    pthread_cond_broadcast(&parts->moved);
    pthread_mutex_unlock(&parts->lock);
    if (!ended)
        queue_abort(parts->in);
    pthread_join(parts->thread, NULL);
    parts_free(parts);
}

/* ---- the main thread ---- */

struct part *parts_take(struct parts *parts)
{
    struct part *part = NULL;
    pthread_mutex_lock(&parts->lock);
    if (parts->ready_count > 0) {
        part = parts->ready[parts->ready_first];
        parts->ready_first = (parts->ready_first + 1) % parts->pool;
        parts->ready_count--;
    }
    pthread_mutex_unlock(&parts->lock);
    return part;
}

void parts_give_back(struct parts *parts, struct part *part)
{
    pthread_mutex_lock(&parts->lock);
    parts->idle[parts->idle_count++] = part;
    pthread_cond_broadcast(&parts->moved);
    pthread_mutex_unlock(&parts->lock);
}

bool parts_ended(struct parts *parts)
{
    pthread_mutex_lock(&parts->lock);
    bool ended = parts->ended && parts->ready_count == 0;
    pthread_mutex_unlock(&parts->lock);
    return ended;
}
