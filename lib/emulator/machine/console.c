/* The serial ports: pseudo-terminals that the machine writes to, and what its first process says,
 * carried to Compute Engine's rings. Like a real port they turn "\n" into "\r\n". */
#include "emulator/machine/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include "emulator/google/compute.h"

/* Where there are no pseudo-terminals (a bare chroot): a pipe with a name, which turns nothing. */
static int open_pipe(struct console *console, const char *folder, int i, struct err *err)
{
    autofree char *name = xasprintf("%s/ttyS%d", folder, i);
    if ((unlink(name) < 0 && errno != ENOENT) || mkfifo(name, 0600) < 0 || chmod(name, 0666) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be made", name);
    /* both ends, so that it never ends while we read */
    console->masters[i] = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (console->masters[i] < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be opened", name);
    console->names[i] = steal(name);
    return 0;
}

static bool has_terminals(void)
{
    return access("/dev/ptmx", R_OK | W_OK) == 0 && access("/dev/pts/ptmx", F_OK) == 0;
}

static int open_port(struct console *console, int i, struct err *err)
{
    struct termios mode;
    char name[64];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    console->masters[i] = master;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
        ptsname_r(master, name, sizeof name) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "no pseudo-terminal");
    console->names[i] = xstrdup(name);
    console->slaves[i] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (console->slaves[i] < 0 || tcgetattr(console->slaves[i], &mode) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be opened", name);
    cfmakeraw(&mode);
    mode.c_oflag |= OPOST | ONLCR;
    /* Root inside the machine is somebody else outside. */
    if (tcsetattr(console->slaves[i], TCSANOW, &mode) < 0 || fchmod(console->slaves[i], 0666) < 0 ||
        fcntl(master, F_SETFL, O_NONBLOCK) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be set up", name);
    return 0;
}

int console_open(struct machine *machine, struct console **out, struct err *err)
{
    struct console *console = xcalloc(1, sizeof *console);
    console->machines = machine->machines;
    console->id = xstrdup(machine->id);
    console->text = -1;
    for (int i = 0; i < SERIAL_PORTS; i++)
        console->masters[i] = console->slaves[i] = -1;
    for (int i = 0; i < SERIAL_PORTS; i++) {
        int opened = has_terminals() ? open_port(console, i, err)
                                     : open_pipe(console, machine->folder, i, err);
        if (opened < 0) {
            console_free(console);
            return -1;
        }
    }
    *out = console;
    return 0;
}

void console_free(struct console *console)
{
    for (int i = 0; i < SERIAL_PORTS; i++) {
        close_fdp(&console->masters[i]);
        close_fdp(&console->slaves[i]);
        free(console->names[i]);
    }
    close_fdp(&console->text);
    free(console->id);
    free(console);
}

/* False at the end. */
static bool forward(struct console *console, int fd, int port)
{
    char block[8192];
    ssize_t n = read(fd, block, sizeof block);
    if (n > 0)
        compute_serial_write(emu_compute(console->machines->emu), console->id, port, block,
                             (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void drain(struct console *console)
{
    for (int i = 0; i < SERIAL_PORTS; i++) {
        struct pollfd port = {.fd = console->masters[i], .events = POLLIN};
        while (poll(&port, 1, 0) == 1 && (port.revents & POLLIN) != 0 &&
               forward(console, port.fd, i + 1))
            ;
    }
}

/* Ends with the machine: its first process holds the other end of `text` alone. */
static void *console_main(void *arg)
{
    struct console *console = arg;
    struct machines *machines = console->machines;
    struct pollfd fds[SERIAL_PORTS + 1];
    for (int i = 0; i < SERIAL_PORTS; i++)
        fds[i] = (struct pollfd){.fd = console->masters[i], .events = POLLIN};
    fds[SERIAL_PORTS] = (struct pollfd){.fd = console->text, .events = POLLIN};
    for (bool running = true; running;) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            break;
        for (int i = 0; i < SERIAL_PORTS; i++) {
            if (fds[i].revents != 0 && !forward(console, fds[i].fd, i + 1))
                fds[i].fd = -1;
        }
        if (fds[SERIAL_PORTS].revents != 0)
            running = forward(console, console->text, 1);
    }
    drain(console);
    console_free(console);
    pthread_mutex_lock(&machines->lock);
    machines->consoles--;
    pthread_cond_broadcast(&machines->console_ended);
    pthread_mutex_unlock(&machines->lock);
    return NULL;
}

int console_run(struct console *console, struct err *err)
{
    struct machines *machines = console->machines;
    pthread_t thread;
    pthread_attr_t detached;
    pthread_mutex_lock(&machines->lock);
    machines->consoles++;
    pthread_mutex_unlock(&machines->lock);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &detached, console_main, console);
    pthread_attr_destroy(&detached);
    if (error == 0)
        return 0;
    pthread_mutex_lock(&machines->lock);
    machines->consoles--;
    pthread_mutex_unlock(&machines->lock);
    console_free(console);
    return err_set_errno(err, ERR_FAILED, error, "no thread");
}

void console_say(struct machine *machine, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    autofree char *text = xvasprintf(format, args);
    va_end(args);
    autofree char *line = xasprintf("%s\r\n", text);
    compute_serial_write(emu_compute(machine->machines->emu), machine->id, 1, line, strlen(line));
}
