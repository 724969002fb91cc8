#include <string.h>
#include <sys/mman.h>
#include "necoops/base/digest.h"
#include "snapshot/window.h"

struct window {
    struct flow *flow;
    struct queue *queue;
    unsigned char *memory;
    size_t buffers;
    size_t part_size;
    size_t next; /* the part that the queue gets next */
    size_t parts;
    struct mark at; /* of the part that the queue gets next */
    /* a part's buffer is its number modulo `buffers`: they begin and are given back in order */
    size_t *lens;
    uint32_t *crcs;
    bool *whole;
    pthread_mutex_t lock;
    size_t released; /* locked: parts before this one have left their buffers */
};

struct window *window_new(struct flow *flow, struct queue *queue, size_t buffers, size_t part_size,
                          size_t parts, struct mark from)
{
    size_t size = buffers * part_size;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct window *window = xcalloc(1, sizeof(*window));
    *window = (struct window){.flow = flow,
                              .queue = queue,
                              .memory = memory,
                              .buffers = buffers,
                              .part_size = part_size,
                              .parts = parts,
                              .at = from};
    window->lens = xcalloc(buffers, sizeof(*window->lens));
    window->crcs = xcalloc(buffers, sizeof(*window->crcs));
    window->whole = xcalloc(buffers, sizeof(*window->whole));
    pthread_mutex_init(&window->lock, NULL);
    return window;
}

void window_free(struct window *window)
{
    if (!window)
        return;
    munmap(window->memory, window->buffers * window->part_size);
    pthread_mutex_destroy(&window->lock);
    free(window->lens);
    free(window->crcs);
    free(window->whole);
    free(window);
}

/* Called by the stage behind. */
static void release(void *arg, uint64_t index)
{
    struct window *window = arg;
    pthread_mutex_lock(&window->lock);
    window->released = (size_t)index + 1;
    pthread_mutex_unlock(&window->lock);
    flow_wake(window->flow);
}

static bool begin(void *arg, size_t index, size_t len)
{
    struct window *window = arg;
    pthread_mutex_lock(&window->lock);
    bool room = index < window->released + window->buffers;
    pthread_mutex_unlock(&window->lock);
    if (room) {
        window->lens[index % window->buffers] = len;
        window->whole[index % window->buffers] = false;
    }
    return room;
}

static unsigned char *buffer(const struct window *window, size_t index)
{
    return window->memory + index % window->buffers * window->part_size;
}

static int take(void *arg, size_t index, size_t offset, const void *data, size_t len,
                struct err *err)
{
    struct window *window = arg;
    if (offset + len > window->lens[index % window->buffers])
        return err_set(err, ERR_PROTOCOL, "more bytes came than were asked for");
    memcpy(buffer(window, index) + offset, data, len);
    return 0;
}

static struct span next_span(struct window *window)
{
    size_t slot = window->next % window->buffers;
    struct span span = {.data = buffer(window, window->next),
                        .len = window->lens[slot],
                        .release = release,
                        .arg = window,
                        .cookie = window->next,
                        .mark = window->at};
    window->whole[slot] = false;
    window->at.crc = crc32c_combine(window->at.crc, window->crcs[slot], span.len);
    window->at.offset += span.len;
    window->next++;
    return span;
}

static int complete(void *arg, size_t index, uint32_t crc, struct err *err)
{
    struct window *window = arg;
    (void)err;
    window->whole[index % window->buffers] = true;
    window->crcs[index % window->buffers] = crc;
    while (window->next < window->parts && window->whole[window->next % window->buffers]) {
        /* The queue holds as many as there are buffers: this never blocks. When it was aborted,
         * the failure behind that ends the fetch. */
        (void)queue_put(window->queue, next_span(window));
    }
    if (window->next == window->parts)
        queue_end(window->queue);
    return 0;
}

struct fetch_sink window_sink(struct window *window)
{
    return (struct fetch_sink){.begin = begin, .data = take, .complete = complete, .arg = window};
}
