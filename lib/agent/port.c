/* The second serial port: ours alone, and root's. */
#include "agent/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include "necoops/base/fs.h"

#define STUCK_MS 10000 /* a port that takes nothing for so long loses the frame */

static int lock_state(struct agent *agent, struct err *err)
{
    autofree char *path = path_join(agent->options->state, "lock");
    agent->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (agent->lock_fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be opened", path);
    if (flock(agent->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_BUSY, "another agent works in '%s'", agent->options->state);
    return 0;
}

int port_open(struct agent *agent, struct err *err)
{
    const char *path = agent->options->port;
    struct termios mode;
    struct stat st;
    if (lock_state(agent, err) < 0)
        return -1;
    agent->port_fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (agent->port_fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "the serial port '%s' cannot be opened", path);
    /* A line is sent as it is, and nobody but root may add to it. */
    if (tcgetattr(agent->port_fd, &mode) == 0) {
        cfmakeraw(&mode);
        (void)tcsetattr(agent->port_fd, TCSANOW, &mode);
    }
    if (fstat(agent->port_fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) != 0 &&
        fchmod(agent->port_fd, 0600) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be closed to others", path);
    return 0;
}

static bool put(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (poll(&room, 1, STUCK_MS) == 0)
                return false;
        } else if (n < 0 && errno != EINTR) {
            return false;
        }
    }
    return true;
}

void port_say(struct agent *agent, const char *type, const struct job *job, cJSON *object)
{
    autojson cJSON *own = object ? object : json_object();
    autobuf struct buf frame = BUF_INIT(WIRE_LINE_MAX * 2);
    json_set_str(own, "t", type);
    if (job)
        json_set_str(own, "id", job->request.id);
    if (wire_frame(&agent->writer, own, &frame) < 0)
        log_warning(agent->run.log, "a message of type '%s' is too long for the serial port", type);
    else if (!put(agent->port_fd, frame.data, frame.len))
        log_warning(agent->run.log, "the serial port takes nothing: a message is lost");
}
