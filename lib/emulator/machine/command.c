/* The commands inside a machine: which program a name means, and how they speak to the emulator:
 * one request a connection to the machine's own listener, as small as HTTP/1.1 allows. */
#include "emulator/machine/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include "necoops/base/text.h"

#define ANSWER_CAP ((size_t)16 << 20)

struct command {
    const char *name;
    int (*main)(int argc, char **argv);
};

static const struct command commands[] = {
    {"machine-init", init_command},  {"pmctl", pmctl_command},
    {"ckecli", ckecli_command},      {"iptables", iptables_command},
    {"ip6tables", iptables_command}, {"mdadm", mdadm_command},
    {"mount", mount_command},        {"reboot", power_command},
    {"poweroff", power_command},     {"shutdown", power_command},
    {"sudo", sudo_command},          {"systemctl", systemctl_command},
};

static const struct command *command_of(const char *argv0)
{
    const char *slash = argv0 != NULL ? strrchr(argv0, '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : argv0;
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

bool placemat_is_command(const char *argv0)
{
    return command_of(argv0) != NULL;
}

int placemat_command_main(int argc, char **argv)
{
    const struct command *command = argc > 0 ? command_of(argv[0]) : NULL;
    if (command == NULL) {
        fprintf(stderr, "there is no such command\n");
        return 2;
    }
    return command->main(argc, argv);
}

const char *inside_root(void)
{
    const char *root = getenv("NECOOPS_ROOT");
    return root != NULL ? root : "";
}

/* ---- HTTP ---- */

static int connect_to(const char *host, struct err *err)
{
    const char *colon = host != NULL ? strrchr(host, ':') : NULL;
    long port = colon != NULL ? strtol(colon + 1, NULL, 10) : 80;
    if (host == NULL || port < 1 || port > 65535)
        return err_set(err, ERR_USAGE,
                       "GCE_METADATA_HOST is not set: this command runs inside an emulated "
                       "instance");
    autofree char *address = xstrndup(host, colon != NULL ? (size_t)(colon - host) : strlen(host));
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1)
        return err_set(err, ERR_USAGE, "GCE_METADATA_HOST '%s' is no IPv4 address", host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&peer, sizeof peer) < 0) {
        err_set_errno(err, ERR_UNREACHABLE, errno, "'%s' cannot be reached", host);
        close_fdp(&fd);
        return -1;
    }
    return fd;
}

static int send_all(int fd, const struct buf *out, struct err *err)
{
    for (size_t done = 0; done < out->len;) {
        ssize_t n = send(fd, out->data + done, out->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return err_set_errno(err, ERR_UNREACHABLE, errno, "the emulator hung up");
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

static int receive_all(int fd, struct buf *in, struct err *err)
{
    char block[8192];
    for (ssize_t n; (n = recv(fd, block, sizeof block, 0)) != 0;) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, ERR_UNREACHABLE, errno, "the emulator hung up");
        if (buf_add(in, block, (size_t)n) < 0)
            return err_set(err, ERR_PROTOCOL, "the emulator's answer is too long");
    }
    return 0;
}

/* The connection ends with the answer, so its body is all that follows the headers. */
static int parse_answer(const struct buf *in, int *status, struct buf *out, struct err *err)
{
    const char *body = strstr(in->data, "\r\n\r\n");
    if (body == NULL || sscanf(in->data, "HTTP/1.%*d %d", status) != 1)
        return err_set(err, ERR_PROTOCOL, "the emulator's answer is no HTTP");
    body += 4;
    const char *length = strcasestr(in->data, "\r\nContent-Length:");
    size_t have = in->len - (size_t)(body - in->data);
    if (length != NULL && length < body && strtoull(length + 17, NULL, 10) != have)
        return err_set(err, ERR_PROTOCOL, "the emulator's answer was cut short");
    buf_reset(out);
    return buf_add(out, body, have);
}

int inside_call(const char *method, const char *path, const char *body, int *status,
                struct buf *out, struct err *err)
{
    const char *host = getenv("GCE_METADATA_HOST");
    autoclose int fd = connect_to(host, err);
    if (fd < 0)
        return -1;
    autobuf struct buf request = BUF_INIT(BUF_MEDIUM);
    autobuf struct buf answer = BUF_INIT(ANSWER_CAP);
    buf_addf(&request,
             "%s %s HTTP/1.1\r\nHost: %s\r\nMetadata-Flavor: Google\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             method, path, host, strlen(body), body);
    if (send_all(fd, &request, err) < 0 || receive_all(fd, &answer, err) < 0)
        return -1;
    return parse_answer(&answer, status, out, err);
}
