#include "snapshot/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "necoops/base/json.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)
#define RETRY_MS       200
#define VMS_MAX        1000

struct vm {
    char *path;
    int fd;
    struct buf in;
    size_t step; /* of the commands that all VMs are given, the one whose answer is awaited */
    bool greeted;
};

struct command {
    const char *name;
    const char *line; /* of the human monitor; NULL: a command of QMP's own */
};

static void vm_clear(struct vm *vm)
{
    if (vm->fd >= 0)
        close(vm->fd);
    free(vm->path);
    buf_clear(&vm->in);
}

/* ---- connecting ---- */

static int find_sockets(const struct strv *patterns, struct strv *paths)
{
    for (size_t i = 0; i < patterns->len; i++) {
        glob_t found;
        if (glob(patterns->items[i], 0, NULL, &found) != 0)
            return -1;
        for (size_t n = 0; n < found.gl_pathc; n++)
            strv_add(paths, found.gl_pathv[n]);
        globfree(&found);
    }
    return paths->len > 0 && paths->len <= VMS_MAX ? 0 : -1;
}

static int connect_vm(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(address.sun_path))
        return err_set(err, ERR_USAGE, "path of a socket is too long: '%s'", path);
    memcpy(address.sun_path, path, len + 1);
    autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return err_set_errno(err, ERR_UNREACHABLE, errno, "cannot connect to '%s'", path);
    int connected = fd;
    fd = -1;
    return connected;
}

static int connect_all(const struct strv *paths, struct vm *vms, struct err *err)
{
    for (size_t i = 0; i < paths->len; i++) {
        if (vms[i].fd >= 0)
            continue;
        vms[i].fd = connect_vm(paths->items[i], err);
        if (vms[i].fd < 0)
            return -1;
    }
    return 0;
}

static void vms_free(struct vm *vms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        vm_clear(&vms[i]);
    free(vms);
}

static struct vm *vms_new(const struct strv *paths)
{
    struct vm *vms = xcalloc(paths->len, sizeof(*vms));
    for (size_t i = 0; i < paths->len; i++) {
        vms[i] = (struct vm){.fd = -1, .path = xstrdup(paths->items[i])};
        buf_init(&vms[i].in, LINE_MAX_BYTES);
    }
    return vms;
}

/* VMs that are just being started need a moment to listen. */
static int reach_all(const struct run *run, const struct strv *patterns, struct vm **vms,
                     size_t *count, struct err *err)
{
    for (;;) {
        CLEANUP(err_clear) struct err why = ERR_INIT;
        autostrv struct strv paths = STRV_INIT;
        if (find_sockets(patterns, &paths) != 0) {
            err_set(&why, ERR_UNREACHABLE, "there is no monitor socket '%s'", patterns->items[0]);
        } else {
            struct vm *found = vms_new(&paths);
            if (connect_all(&paths, found, &why) == 0) {
                *vms = found;
                *count = paths.len;
                return 0;
            }
            vms_free(found, paths.len);
        }
        if (why.code != ERR_UNREACHABLE) {
            err_move(err, &why);
            return -1;
        }
        if (run_sleep(run, RETRY_MS, "the monitors of the VMs", err) != 0)
            return err->code == ERR_TIMEOUT
                       ? err_set(err, ERR_TIMEOUT, "timed out waiting for the VMs: %s",
                                 err_text(&why))
                       : -1;
    }
}

/* ---- talking ---- */

static int send_command(struct vm *vm, const struct command *command, struct err *err)
{
    autojson cJSON *json = json_object();
    json_set_str(json, "execute", command->line ? "human-monitor-command" : command->name);
    if (command->line)
        json_set_str(json_set_object(json, "arguments"), "command-line", command->line);
    autofree char *text = json_print(json);
    autofree char *line = xasprintf("%s\n", text);
    size_t len = strlen(line);
    /* A command is far smaller than the socket's buffer. */
    if (send(vm->fd, line, len, MSG_NOSIGNAL) != (ssize_t)len)
        return err_set_errno(err, ERR_FAILED, errno, "VM '%s': cannot send '%s'", vm->path,
                             command->name);
    return 0;
}

/* What a command of the human monitor prints is what went wrong. */
static int check_answer(const struct vm *vm, const struct command *command, const cJSON *answer,
                        struct err *err)
{
    const char *desc = json_str(answer, "error.desc");
    const char *printed = json_str(answer, "return");
    if (!desc && command->line && printed && printed[strspn(printed, " \r\n")])
        desc = printed;
    if (!desc)
        return 0;
    autofree char *shown = text_visible(desc, strcspn(desc, "\r\n"), false);
    return err_set(err, ERR_FAILED, "VM '%s': %s: %s", vm->path, command->name, shown);
}

/* One message of the VM's: the greeting, an answer, or an event, which is passed over. */
static int take_message(struct vm *vm, const char *line, size_t len, const struct command *commands,
                        struct err *err)
{
    autojson cJSON *message = NULL;
    if (json_parse(line, len, vm->path, &message, err) != 0)
        return err_prefix(err, "VM '%s' does not speak QMP", vm->path);
    if (!vm->greeted) {
        if (!json_at(message, "QMP"))
            return err_set(err, ERR_FAILED, "VM '%s' does not speak QMP", vm->path);
        vm->greeted = true;
        return send_command(vm, &commands[0], err);
    }
    if (!json_at(message, "return") && !json_at(message, "error"))
        return 0;
    if (!commands[vm->step].name)
        return 0;
    if (check_answer(vm, &commands[vm->step], message, err) != 0)
        return -1;
    vm->step++;
    return commands[vm->step].name ? send_command(vm, &commands[vm->step], err) : 0;
}

static int take_lines(struct vm *vm, const struct command *commands, struct err *err)
{
    char *start = vm->in.data, *end;
    while ((end = memchr(start, '\n', vm->in.len - (size_t)(start - vm->in.data)))) {
        if (take_message(vm, start, (size_t)(end - start), commands, err) != 0)
            return -1;
        start = end + 1;
    }
    autobuf struct buf rest = BUF_INIT(LINE_MAX_BYTES);
    int kept = buf_add(&rest, start, vm->in.len - (size_t)(start - vm->in.data));
    buf_reset(&vm->in);
    if (kept != 0 || buf_add(&vm->in, rest.data, rest.len) != 0)
        return err_set(err, ERR_FAILED, "VM '%s' says too much at once", vm->path);
    return 0;
}

static int receive(struct vm *vm, const struct command *commands, struct err *err)
{
    char chunk[4096];
    ssize_t n = recv(vm->fd, chunk, sizeof(chunk), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return err_set(err, ERR_FAILED, "VM '%s' has ended", vm->path);
    if (buf_add(&vm->in, chunk, (size_t)n) != 0)
        return err_set(err, ERR_FAILED, "VM '%s' says too much at once", vm->path);
    return take_lines(vm, commands, err);
}

static size_t still_busy(const struct vm *vms, size_t count, const struct command *commands)
{
    size_t busy = 0;
    for (size_t i = 0; i < count; i++)
        busy += commands[vms[i].step].name != NULL;
    return busy;
}

static int wait_for_all(const struct run *run, struct vm *vms, size_t count,
                        const struct command *commands, const char *what, struct err *err)
{
    autofree char *memory = xcalloc(count + 1, sizeof(struct pollfd));
    struct pollfd *fds = (struct pollfd *)memory;
    while (still_busy(vms, count, commands) > 0) {
        for (size_t i = 0; i < count; i++)
            fds[i] = (struct pollfd){.fd = vms[i].fd, .events = POLLIN};
        fds[count] = (struct pollfd){.fd = run->wake_fd, .events = POLLIN};
        if (poll(fds, count + 1, (int)run_remaining_ms(run, 1000)) < 0 && errno != EINTR)
            return err_set_errno(err, ERR_FAILED, errno, "cannot wait for the VMs");
        progress_tick(run->progress);
        if (run_check(run, what, err) != 0)
            return -1;
        for (size_t i = 0; i < count; i++) {
            if (fds[i].revents && receive(&vms[i], commands, err) != 0)
                return -1;
        }
    }
    return 0;
}

/* All of the commands to every VM, each at its own pace; back when all have answered all. */
static int run_commands(const struct run *run, struct vm *vms, size_t count,
                        const struct command *commands, const char *what, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        vms[i].step = 0;
        if (vms[i].greeted && send_command(&vms[i], &commands[0], err) != 0)
            return -1;
    }
    return wait_for_all(run, vms, count, commands, what, err);
}

static int load_all(const struct run *run, struct vm *vms, size_t count, const char *tag,
                    struct err *err)
{
    autofree char *loadvm = xasprintf("loadvm %s", tag);
    const struct command load[] = {
        {"qmp_capabilities", NULL}, {"stop", NULL}, {"loadvm", loadvm}, {NULL, NULL}};
    const struct command resume[] = {{"cont", NULL}, {NULL, NULL}};
    if (run_commands(run, vms, count, load, "the VMs to load the snapshot", err) != 0)
        return -1;
    return run_commands(run, vms, count, resume, "the VMs to go on", err);
}

/* It goes into a line of the human monitor. */
static int check_tag(const char *tag, struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    if (*tag && *tag != '-' && tag[strspn(tag, allowed)] == '\0')
        return 0;
    return err_set(err, ERR_USAGE,
                   "snapshot tag '%s' is none that QEMU's monitor takes: use letters, digits, '.', "
                   "'_' and '-'",
                   tag);
}

int qmp_check(const struct strv *sockets, const char *tag, bool listening, struct err *err)
{
    autostrv struct strv paths = STRV_INIT;
    if (sockets->len == 0)
        return err_set(err, ERR_USAGE, "the loader 'qmp' wants snapshot.qmp.sockets");
    if (check_tag(tag, err) != 0)
        return -1;
    if (!listening)
        return 0;
    if (find_sockets(sockets, &paths) != 0)
        return err_set(err, ERR_UNREACHABLE, "there is no monitor socket '%s'", sockets->items[0]);
    for (size_t i = 0; i < paths.len; i++) {
        autoclose int fd = connect_vm(paths.items[i], err);
        if (fd < 0)
            return -1;
    }
    return 0;
}

int qmp_load(const struct run *run, const struct strv *sockets, const char *tag, size_t *count,
             struct err *err)
{
    struct vm *vms = NULL;
    if (qmp_check(sockets, tag, false, err) != 0 || reach_all(run, sockets, &vms, count, err) != 0)
        return -1;
    int result = load_all(run, vms, *count, tag, err);
    vms_free(vms, *count);
    return result;
}
