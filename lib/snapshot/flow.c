#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "snapshot/flow.h"

struct flow {
    pthread_mutex_t lock;
    struct err first;
    bool failed;
    int fd;
};

int flow_new(struct flow **out, struct err *err)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot make an event descriptor");
    struct flow *flow = xcalloc(1, sizeof(*flow));
    pthread_mutex_init(&flow->lock, NULL);
    flow->fd = fd;
    *out = flow;
    return 0;
}

void flow_free(struct flow *flow)
{
    if (!flow)
        return;
    close(flow->fd);
    pthread_mutex_destroy(&flow->lock);
    err_clear(&flow->first);
    free(flow);
}

void flow_wake(struct flow *flow)
{
    uint64_t one = 1;
    /* It fails only when the counter is full, and then the descriptor is readable. */
    ssize_t n = write(flow->fd, &one, sizeof(one));
    (void)n;
}

void flow_fail(struct flow *flow, struct err *err)
{
    pthread_mutex_lock(&flow->lock);
    if (flow->failed) {
        err_clear(err);
    } else {
        flow->failed = true;
        err_move(&flow->first, err);
    }
    pthread_mutex_unlock(&flow->lock);
    flow_wake(flow);
}

int flow_fd(const struct flow *flow)
{
    return flow->fd;
}

int flow_check(struct flow *flow, struct err *err)
{
    uint64_t count;
    ssize_t n = read(flow->fd, &count, sizeof(count));
    (void)n;
    pthread_mutex_lock(&flow->lock);
    bool failed = flow->failed;
    if (failed)
        err_move(err, &flow->first);
    pthread_mutex_unlock(&flow->lock);
    return failed ? -1 : 0;
}

int flow_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}
