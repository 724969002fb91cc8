#include <errno.h>
#include <stdatomic.h>
#include "snapshot/decode.h"
#include "snapshot/stages.h"

#define DECODED_SPANS 256

struct stages {
    struct flow *flow;
    struct queue *compressed;
    struct queue *decoded;
    struct mark from;
    const struct unpack_job *job;
    pthread_t decoder;
    pthread_t unpacker;
    atomic_int running;
};

static void ended(struct stages *stages)
{
    atomic_fetch_sub(&stages->running, 1);
    flow_wake(stages->flow);
}

static void *decoder_main(void *arg)
{
    struct stages *stages = arg;
    struct reader in;
    struct err err = ERR_INIT;
    reader_init(&in, stages->compressed);
    in.offset = stages->from.offset;
    if (decode(&in, stages->from.format, stages->decoded, &err) == 0) {
        queue_end(stages->decoded);
    } else {
        flow_fail(stages->flow, &err);
        queue_abort(stages->decoded);
    }
    reader_close(&in);
    err_clear(&err);
    ended(stages);
    return NULL;
}

static void *unpacker_main(void *arg)
{
    struct stages *stages = arg;
    struct reader in;
    struct err err = ERR_INIT;
    reader_init(&in, stages->decoded);
    if (unpack(&in, stages->job, &err) != 0)
        flow_fail(stages->flow, &err);
    reader_close(&in);
    err_clear(&err);
    ended(stages);
    return NULL;
}

int stages_start(struct flow *flow, struct queue *compressed, struct mark from,
                 const struct unpack_job *job, struct stages **out, struct err *err)
{
    struct stages *stages = xcalloc(1, sizeof(*stages));
    *stages = (struct stages){.flow = flow, .compressed = compressed, .from = from, .job = job};
    stages->decoded = queue_new(DECODED_SPANS);
    atomic_store(&stages->running, 2);
    int code = flow_thread(&stages->unpacker, unpacker_main, stages);
    if (code == 0) {
        code = flow_thread(&stages->decoder, decoder_main, stages);
        if (code != 0) {
            queue_abort(stages->decoded);
            pthread_join(stages->unpacker, NULL);
        }
    }
    if (code != 0) {
        queue_free(stages->decoded);
        free(stages);
        return err_set_errno(err, ERR_FAILED, code, "cannot start a thread");
    }
    *out = stages;
    return 0;
}

bool stages_ended(struct stages *stages)
{
    return atomic_load(&stages->running) == 0;
}

void stages_abort(struct stages *stages)
{
    queue_abort(stages->compressed);
    queue_abort(stages->decoded);
}

void stages_join(struct stages *stages)
{
    pthread_join(stages->decoder, NULL);
    pthread_join(stages->unpacker, NULL);
    queue_free(stages->decoded);
    free(stages);
}
