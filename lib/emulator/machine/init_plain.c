/* A machine without namespaces: its files are below one folder, and Landlock lets nothing else be
 * written. */
#include "emulator/machine/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"

/* Bits that newer kernels know, by the Landlock version that brought them. */
#define ACCESS_REFER    (1ULL << 13) /* 2 */
#define ACCESS_TRUNCATE (1ULL << 14) /* 3 */
#define SCOPE_SIGNAL    (1ULL << 1)  /* 6: processes outside get no signals */

/* As the kernel grew it; an older one takes the first member alone. */
struct ruleset {
    uint64_t access, network, scopes;
};

static uint64_t write_access(long version)
{
    uint64_t access = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                      LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                      LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                      LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                      LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
    if (version >= 2)
        access |= ACCESS_REFER;
    if (version >= 3)
        access |= ACCESS_TRUNCATE;
    return access;
}

static int allow(int ruleset, const char *path, uint64_t access, struct err *err)
{
    autoclose int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    if (fd < 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "Landlock does not take '%s'", path);
    return 0;
}

static int lock_writes(const struct init *init, const char *root, struct err *err)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty"};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return err_set(err, ERR_FAILED,
                       "the kernel has neither namespaces nor Landlock for us: the startup script "
                       "could write to this machine's own files, so it is not run");
    uint64_t access = write_access(version);
    uint64_t file = LANDLOCK_ACCESS_FS_WRITE_FILE | (access & ACCESS_TRUNCATE);
    struct ruleset attr = {.access = access, .scopes = version >= 6 ? SCOPE_SIGNAL : 0};
    size_t size = version >= 6 ? sizeof attr : sizeof attr.access;
    autoclose int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (ruleset < 0)
        return err_set_errno(err, ERR_FAILED, errno, "Landlock has no rules for us");
    if (allow(ruleset, root, access, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
        if (fs_exists(devices[i]) && allow(ruleset, devices[i], file, err) < 0)
            return -1;
    }
    for (int i = 0; i < SERIAL_PORTS; i++) {
        autofree char *key = xasprintf("ttys[%d]", i);
        if (allow(ruleset, json_str_or(init->config, key, "/dev/null"), file, err) < 0)
            return -1;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "Landlock cannot be switched on");
    return 0;
}

static int make_tree(const struct init *init, struct err *err)
{
    static const char *const folders[] = {"dev",
                                          "dev/disk",
                                          "dev/disk/by-id",
                                          "dev/md",
                                          "emulator",
                                          "emulator/ssd",
                                          "etc",
                                          "etc/systemd",
                                          "etc/systemd/system",
                                          "home",
                                          "opt",
                                          "opt/necoops",
                                          "root",
                                          "run",
                                          "srv",
                                          "tmp",
                                          "var",
                                          "var/lib",
                                          "var/log",
                                          "proc",
                                          "proc/sys",
                                          "proc/sys/kernel",
                                          "proc/sys/kernel/random"};
    if (fs_remove_tree("run", err) < 0 || fs_remove_tree("tmp", err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        if (make_folder(init, folders[i], 0755, err) < 0)
            return -1;
    }
    for (int i = 0; i < SERIAL_PORTS; i++) {
        autofree char *key = xasprintf("ttys[%d]", i);
        autofree char *place = xasprintf("dev/ttyS%d", i);
        if (make_link(init, json_str_or(init->config, key, "/dev/null"), place, err) < 0)
            return -1;
    }
    return make_link(init, "ttyS0", "dev/console", err);
}

/* Each boot has an id of its own; the host's would stay the same. */
static int make_boot_id(const struct init *init, struct err *err)
{
    autofree char *text = xasprintf("%s\n", uuid_random().text);
    return make_file(init, "proc/sys/kernel/random/boot_id", text, strlen(text), err);
}

static int make_disks(const struct init *init, struct err *err)
{
    for (int i = 0; i < init->ssds; i++) {
        autofree char *device = xasprintf("dev/nvme0n%d", i + 1);
        autofree char *target = xasprintf("../../nvme0n%d", i + 1);
        autofree char *link = xasprintf("dev/disk/by-id/google-local-nvme-ssd-%d", i);
        if (make_ssd(init, device, err) < 0 || make_link(init, target, link, err) < 0)
            return -1;
    }
    return 0;
}

static int link_program(const struct init *init, const char *from, const char *to, struct err *err)
{
    return make_link(init, from, to, err);
}

/* A first boot installs our programs; later ones leave what the machine made of them. */
static int install(const struct init *init, struct err *err)
{
    if (make_commands(init, "emulator/bin", init->program, err) < 0 ||
        make_gitconfig(init, "root/.gitconfig", NULL, err) < 0)
        return -1;
    if (fs_exists("opt/necoops/bin"))
        return 0;
    return make_programs(init, "opt/necoops/bin", link_program, err);
}

int init_confine(struct init *init, struct err *err)
{
    autofree char *root = path_join(init->folder, "root");
    umask(0022);
    if (fs_mkdirs(root, 0755, err) < 0)
        return -1;
    if (chdir(root) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be entered", root);
    /* From here on not even a link that the script left behind leads out of the folder. */
    if (lock_writes(init, root, err) < 0 || make_tree(init, err) < 0 ||
        make_boot_id(init, err) < 0 || make_disks(init, err) < 0)
        return -1;
    return install(init, err);
}
