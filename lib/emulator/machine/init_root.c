/* A machine's "/" out of mounts, in namespaces of its own.
 *
 * The root is a tmpfs that is built anew at each boot: the host's programs read-only, folders of
 * the machine's own from FOLDER/disk for what may be written, a small /dev. What the script can
 * write is never walked through by name from outside, so no link of its making leads anywhere. At
 * the end the first process moves into one more user namespace: there every mount made here is
 * locked, and root is a user that owns nothing on the host. */
#include "emulator/machine/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"

/* Root inside is this user outside: above all that systems and containers hand out. */
#define OWNER_BASE  1879048192u
#define OWNER_COUNT 65536u

static const unsigned int read_only = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
static const unsigned int writable = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

static int bind_at(const char *from, const char *to, uint64_t attributes, struct err *err)
{
    struct mount_attr attr = {.attr_set = attributes};
    if (mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0 ||
        (attributes != 0 && mount_setattr(AT_FDCWD, to, AT_RECURSIVE, &attr, sizeof attr) < 0))
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be mounted on '%s'", from, to);
    return 0;
}

/* FROM seen at TO, a folder made for it. */
static int bind_folder(const struct init *init, const char *from, const char *to,
                       uint64_t attributes, struct err *err)
{
    if (make_folder(init, to, 0755, err) < 0)
        return -1;
    return bind_at(from, to, attributes, err);
}

static int bind_file(const struct init *init, const char *from, const char *to, uint64_t attributes,
                     struct err *err)
{
    if (make_file(init, to, "", 0, err) < 0)
        return -1;
    return bind_at(from, to, attributes, err);
}

/* ---- the host's programs ---- */

static int host_folder(const struct init *init, const char *name, struct err *err)
{
    struct stat st;
    char target[256];
    if (lstat(name, &st) < 0)
        return 0;
    if (!S_ISLNK(st.st_mode))
        return bind_folder(init, name, name + 1, read_only, err);
    ssize_t len = readlink(name, target, sizeof target - 1);
    if (len < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be read", name);
    target[len] = '\0';
    return make_link(init, target, name + 1, err);
}

static int host_programs(const struct init *init, struct err *err)
{
    static const char *const names[] = {"/bin",   "/sbin",   "/lib", "/lib32",
                                        "/lib64", "/libx32", "/usr"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (host_folder(init, names[i], err) < 0)
            return -1;
    }
    return 0;
}

/* ---- folders of the machine's own ---- */

/* Of the host's /etc only what programs need to run; never what may hold a secret. */
static int copy_etc(const struct init *init, const char *etc, struct err *err)
{
    static const char *const names[] = {
        "bash.bashrc", "debian_version", "group",       "ld.so.cache", "ld.so.conf",
        "login.defs",  "mime.types",     "mke2fs.conf", "passwd",      "nsswitch.conf",
        "profile",     "protocols",      "resolv.conf", "services",    "os-release"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
        autoerr struct err ignored = ERR_INIT;
        autofree char *from = path_join("/etc", names[i]);
        autofree char *to = path_join(etc, names[i]);
        if (fs_read(from, &text, &ignored) < 0)
            continue;
        if (make_file(init, to, text.data, text.len, err) < 0)
            return -1;
    }
    return 0;
}

static int etc_file(const struct init *init, const char *etc, const char *name, const char *text,
                    struct err *err)
{
    autofree char *path = path_join(etc, name);
    return make_file(init, path, text, strlen(text), err);
}

static int make_etc(const struct init *init, const char *etc, struct err *err)
{
    autofree char *hosts = xasprintf("127.0.0.1 localhost %s\n"
                                     "169.254.169.254 metadata.google.internal\n",
                                     init->name);
    autofree char *hostname = xasprintf("%s\n", init->name);
    autofree char *ssl = path_join(etc, "ssl");
    autofree char *certs = path_join(ssl, "certs");
    autofree char *alternatives = path_join(etc, "alternatives");
    autofree char *systemd = path_join(etc, "systemd");
    autofree char *units = path_join(systemd, "system");
    autofree char *git = path_join(etc, "gitconfig");
    if (make_gitconfig(init, git, "/emulator/git", err) < 0 || copy_etc(init, etc, err) < 0 ||
        etc_file(init, etc, "hosts", hosts, err) < 0 ||
        etc_file(init, etc, "hostname", hostname, err) < 0 ||
        make_folder(init, ssl, 0755, err) < 0 || make_folder(init, systemd, 0755, err) < 0 ||
        make_folder(init, units, 0755, err) < 0)
        return -1;
    if (make_link(init, "/emulator/certs", certs, err) < 0)
        return -1;
    return make_link(init, "/emulator/alternatives", alternatives, err);
}

static int make_var(const struct init *init, const char *var, struct err *err)
{
    static const char *const names[] = {"lib", "log", "cache", "spool", "tmp"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autofree char *path = path_join(var, names[i]);
        if (make_folder(init, path, strcmp(names[i], "tmp") == 0 ? 01777 : 0755, err) < 0)
            return -1;
    }
    autofree char *run = path_join(var, "run");
    return make_link(init, "/run", run, err);
}

static int make_opt(const struct init *init, const char *opt, struct err *err)
{
    autofree char *home = path_join(opt, "necoops");
    autofree char *bin = path_join(home, "bin");
    if (make_folder(init, home, 0755, err) < 0)
        return -1;
    return make_link(init, "/emulator/programs", bin, err);
}

static int make_local(const struct init *init, const char *local, struct err *err)
{
    static const char *const names[] = {"bin", "sbin", "lib", "share"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autofree char *path = path_join(local, names[i]);
        if (make_folder(init, path, 0755, err) < 0)
            return -1;
    }
    return 0;
}

struct own_folder {
    const char *name, *place;
    mode_t mode;
    int (*fill)(const struct init *init, const char *path, struct err *err);
};

static const struct own_folder own_folders[] = {
    {"etc", "etc", 0755, make_etc}, {"var", "var", 0755, make_var},
    {"opt", "opt", 0755, make_opt}, {"local", "usr/local", 0755, make_local},
    {"home", "home", 0755, NULL},   {"mnt", "mnt", 0755, NULL},
    {"root", "root", 0700, NULL},   {"srv", "srv", 0755, NULL},
    {"tmp", "tmp", 01777, NULL},
};

/* A first boot fills it; from then on what is in it is the machine's. */
static int own_folder(const struct init *init, const struct own_folder *own, struct err *err)
{
    autofree char *path = xasprintf("%s/disk/%s", init->folder, own->name);
    bool first = !fs_exists(path);
    if (strcmp(own->name, "tmp") == 0 && fs_remove_tree(path, err) < 0)
        return -1;
    if (make_folder(init, path, own->mode, err) < 0 ||
        (first && own->fill != NULL && own->fill(init, path, err) < 0))
        return -1;
    if (strcmp(own->place, "usr/local") != 0)
        return bind_folder(init, path, own->place, writable, err);
    return fs_is_dir(own->place) ? bind_at(path, own->place, writable, err) : 0;
}

/* ---- devices ---- */

static int make_devices(const struct init *init, struct err *err)
{
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *const links[][2] = {
        {"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"},
        {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
        {"ttyS0", "dev/console"},          {"/run/log", "dev/log"},
    };
    if (make_folder(init, "dev", 0755, err) < 0 || make_folder(init, "dev/shm", 01777, err) < 0 ||
        make_folder(init, "dev/disk", 0755, err) < 0 ||
        make_folder(init, "dev/disk/by-id", 0755, err) < 0 ||
        make_folder(init, "dev/md", 0755, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        autofree char *from = path_join("/dev", nodes[i]);
        if (bind_file(init, from, from + 1, 0, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        if (make_link(init, links[i][0], links[i][1], err) < 0)
            return -1;
    }
    return 0;
}

static int make_serial_ports(const struct init *init, struct err *err)
{
    for (int i = 0; i < SERIAL_PORTS; i++) {
        autofree char *key = xasprintf("ttys[%d]", i);
        autofree char *place = xasprintf("dev/ttyS%d", i);
        if (bind_file(init, json_str_or(init->config, key, "/dev/null"), place, 0, err) < 0)
            return -1;
    }
    return 0;
}

/* Each disk is a file, and beside it the folder in which `mount` keeps its file systems. */
static int make_disks(const struct init *init, struct err *err)
{
    autofree char *dir = path_join(init->folder, "ssd");
    if (make_folder(init, dir, 0755, err) < 0 ||
        bind_folder(init, dir, "emulator/ssd", writable, err) < 0)
        return -1;
    for (int i = 0; i < init->ssds; i++) {
        autofree char *image = xasprintf("%s/%d.img", dir, i);
        autofree char *device = xasprintf("dev/nvme0n%d", i + 1);
        autofree char *target = xasprintf("../../nvme0n%d", i + 1);
        autofree char *link = xasprintf("dev/disk/by-id/google-local-nvme-ssd-%d", i);
        if (make_ssd(init, image, err) < 0 || bind_file(init, image, device, writable, err) < 0 ||
            make_link(init, target, link, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- /emulator, /sys, /proc ---- */

static int bind_program(const struct init *init, const char *from, const char *to, struct err *err)
{
    return bind_file(init, from, to, read_only, err);
}

static int bind_mirrors(const struct init *init, struct err *err)
{
    const cJSON *mirror;
    int i = 0;
    if (make_folder(init, "emulator/git", 0755, err) < 0)
        return -1;
    cJSON_ArrayForEach(mirror, json_at(init->config, "mirrors"))
    {
        autofree char *to = xasprintf("emulator/git/%d", i++);
        if (bind_folder(init, json_str_or(mirror, "dir", ""), to, read_only, err) < 0)
            return -1;
    }
    return 0;
}

static int make_emulator(const struct init *init, struct err *err)
{
    if (make_folder(init, "emulator", 0755, err) < 0 ||
        bind_file(init, init->program, "emulator/program", read_only, err) < 0 ||
        make_programs(init, "emulator/programs", bind_program, err) < 0 ||
        make_commands(init, "emulator/bin", "/emulator/program", err) < 0)
        return -1;
    if (fs_is_dir("/etc/ssl/certs") &&
        bind_folder(init, "/etc/ssl/certs", "emulator/certs", read_only, err) < 0)
        return -1;
    if (fs_is_dir("/etc/alternatives") &&
        bind_folder(init, "/etc/alternatives", "emulator/alternatives", read_only, err) < 0)
        return -1;
    return bind_mirrors(init, err);
}

/* What says that this is a Google machine. */
static int make_sys(const struct init *init, struct err *err)
{
    static const char *const folders[] = {"sys", "sys/class", "sys/class/dmi", "sys/class/dmi/id"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        if (make_folder(init, folders[i], 0755, err) < 0)
            return -1;
    }
    static const char product[] = "Google Compute Engine\n";
    return make_file(init, "sys/class/dmi/id/product_name", product, strlen(product), err);
}

/* Processes are the machine's own, its boot has an id of its own, and the kernel's switches are
 * shown but not to be moved. */
static int make_proc(const struct init *init, struct err *err)
{
    autofree char *boot_id = xasprintf("%s\n", uuid_random().text);
    if (make_folder(init, "proc", 0555, err) < 0)
        return -1;
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "/proc cannot be mounted");
    if (bind_at("proc/sys", "proc/sys", read_only, err) < 0 ||
        (fs_exists("proc/sysrq-trigger") &&
         bind_at("/dev/null", "proc/sysrq-trigger", 0, err) < 0) ||
        make_file(init, "emulator/boot_id", boot_id, strlen(boot_id), err) < 0)
        return -1;
    return bind_at("emulator/boot_id", "proc/sys/kernel/random/boot_id", read_only, err);
}

/* ---- together ---- */

static int build(const struct init *init, struct err *err)
{
    if (host_programs(init, err) < 0)
        return -1;
    autofree char *disk = path_join(init->folder, "disk");
    if (make_folder(init, disk, 0755, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(own_folders); i++) {
        if (own_folder(init, &own_folders[i], err) < 0)
            return -1;
    }
    if (make_folder(init, "run", 0755, err) < 0 || make_emulator(init, err) < 0 ||
        make_devices(init, err) < 0 || make_serial_ports(init, err) < 0 ||
        make_disks(init, err) < 0 || make_sys(init, err) < 0)
        return -1;
    return make_proc(init, err);
}

static int mount_root(const struct init *init, struct err *err)
{
    autofree char *root = path_join(init->folder, "root");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "mounts cannot be made private");
    if (fs_mkdirs(root, 0755, err) < 0)
        return -1;
    if (mount("machine", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be mounted", root);
    if (chdir(root) < 0 || (init->owner != 0 && chown(".", init->owner, init->owner) < 0))
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be entered", root);
    return 0;
}

static int switch_root(struct err *err)
{
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return err_set_errno(err, ERR_FAILED, errno, "the root cannot be switched");
    return 0;
}

/* ---- the user namespace ---- */

/* Whether the user ids that become the machine's exist in this user namespace. */
static bool ids_available(const char *path)
{
    FILE *file = fopen(path, "re");
    unsigned int inside, outside, count;
    bool found = false;
    while (file != NULL && fscanf(file, "%u %u %u", &inside, &outside, &count) == 3)
        found |=
            inside <= OWNER_BASE && (uint64_t)inside + count >= (uint64_t)OWNER_BASE + OWNER_COUNT;
    if (file != NULL)
        fclose(file);
    return found;
}

static int write_map(const char *path, const char *map)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, map, strlen(map));
    close(fd);
    return n == (ssize_t)strlen(map) ? 0 : -1;
}

/* Runs in a child that stays outside the new user namespace, with the right to give it its users.
 */
static void write_maps(const struct init *init, int go)
{
    autofree char *map =
        init->owner != 0 ? xasprintf("0 %u %u\n", init->owner, OWNER_COUNT) : xstrdup("0 0 1\n");
    char byte;
    bool done = read(go, &byte, 1) == 1 && write_map("/proc/1/uid_map", map) == 0 &&
                write_map("/proc/1/gid_map", map) == 0;
    _exit(done ? 0 : 1);
}

static int enter_user_namespace(const struct init *init, struct err *err)
{
    int go[2], status = 1;
    if (pipe2(go, O_CLOEXEC) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "no pipe");
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        write_maps(init, go[0]);
    }
    close(go[0]);
    int unshared = child > 0 ? unshare(CLONE_NEWUSER | CLONE_NEWNS) : -1;
    int error = errno;
    if (unshared == 0 && write(go[1], "", 1) != 1)
        unshared = -1;
    close(go[1]);
    if (child > 0)
        waitpid(child, &status, 0);
    if (unshared < 0)
        return err_set_errno(err, ERR_FAILED, error, "no user namespace");
    if (status != 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_set(err, ERR_FAILED, "the users of the user namespace cannot be set");
    /* Forbidden where there is one user alone: then there are no groups to drop either. */
    (void)setgroups(0, NULL);
    return 0;
}

int init_enter_namespaces(struct init *init, struct err *err)
{
    if (geteuid() == 0 && ids_available("/proc/self/uid_map") &&
        ids_available("/proc/self/gid_map"))
        init->owner = OWNER_BASE;
    umask(0022);
    if (mount_root(init, err) < 0 || build(init, err) < 0 || switch_root(err) < 0)
        return -1;
    if (sethostname(init->name, strlen(init->name)) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "the host's name cannot be set");
    return enter_user_namespace(init, err);
}
