/* Stand-ins for what puts disks to use: mount, and mdadm for several of them.
 *
 * The disks are plain files, so mkfs and blkid work on them as they are. To mount one means to show
 * the folder that goes with the file system in it: a new file system has a new UUID and so an empty
 * folder, and the one before is gone, as on a disk. Everything else is left to the real mount. */
#include "emulator/machine/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define REAL_MOUNT  "/usr/bin/mount"
#define EXT_SUPER   1024
#define EXT_MAGIC   0x38
#define EXT_UUID    0x68
#define XFS_UUID    32
#define UUID_LEN    16
#define MOUNT_FAILS 32 /* exit status of mount(8) */

/* ---- file systems ---- */

/* The UUID of the ext2, 3, 4 or XFS file system in a file; NULL when there is none. */
static char *file_system(const char *path)
{
    unsigned char head[EXT_SUPER + EXT_UUID + UUID_LEN];
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head)
        return NULL;
    if (head[EXT_SUPER + EXT_MAGIC] == 0x53 && head[EXT_SUPER + EXT_MAGIC + 1] == 0xEF)
        return hex_encode(head + EXT_SUPER + EXT_UUID, UUID_LEN);
    if (memcmp(head, "XFSB", 4) == 0)
        return hex_encode(head + XFS_UUID, UUID_LEN);
    return NULL;
}

/* "/dev/disk/by-id/…" → "/dev/nvme0n1"; NULL when it is no disk or array of this machine. */
static char *disk_of(const char *device)
{
    autofree char *dev = xasprintf("%s/dev/", inside_root());
    autofree char *arrays = xasprintf("%s/emulator/ssd/", inside_root());
    autofree char *path = realpath(device, NULL);
    struct stat st;
    if (path == NULL || stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
        !(text_starts(path, dev) || text_starts(path, arrays)))
        return NULL;
    return steal(path);
}

/* Only the newest file system of a disk is left on it. */
static int forget_others(const char *dir, const char *uuid, struct err *err)
{
    DIR *folder = opendir(dir);
    int result = 0;
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        autofree char *path = path_join(dir, entry->d_name);
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, uuid) != 0 &&
            fs_remove_tree(path, err) < 0)
            result = -1;
    }
    if (folder != NULL)
        closedir(folder);
    return result;
}

static char *content_folder(const char *disk, const char *uuid, struct err *err)
{
    const char *name = strrchr(disk, '/') + 1;
    autofree char *dir = xasprintf("%s/emulator/ssd/%s.d", inside_root(), name);
    autofree char *path = path_join(dir, uuid);
    if (fs_mkdirs(path, 0755, err) < 0 || forget_others(dir, uuid, err) < 0)
        return NULL;
    return steal(path);
}

/* ---- mount ---- */

struct mount_args {
    const char *device, *target;
    bool read_only;
};

/* True for the plain form: mount [-t TYPE] [-o OPTIONS] DEVICE DIR. */
static bool parse(int argc, char **argv, struct mount_args *out)
{
    int operands = 0;
    *out = (struct mount_args){.device = NULL};
    for (int i = 1; i < argc; i++) {
        if ((strcmp(argv[i], "-t") == 0 || strcmp(argv[i], "-o") == 0) && i + 1 < argc) {
            out->read_only |= strcmp(argv[i], "-o") == 0 &&
                              (text_starts(argv[i + 1], "ro,") || strcmp(argv[i + 1], "ro") == 0);
            i++;
        } else if (argv[i][0] == '-') {
            continue;
        } else if (operands++ == 0) {
            out->device = argv[i];
        } else {
            out->target = argv[i];
        }
    }
    return operands == 2;
}

/* `from` as a link at `target` names it when both are below `root`: relative, so that it means the
 * same from inside and from outside of the machine. Caller frees. */
static char *relative_link(const char *root, const char *from, const char *target)
{
    autobuf struct buf link = BUF_INIT(BUF_SMALL);
    const char *below = target + strlen(root) + 1;
    for (const char *slash = below; (slash = strchr(slash, '/')) != NULL; slash++)
        buf_adds(&link, "../");
    buf_adds(&link, from + strlen(root) + 1);
    return buf_steal(&link);
}

static bool is_below(const char *root, const char *path)
{
    return text_starts(path, root) && path[strlen(root)] == '/';
}

/* Without namespaces nothing can be mounted: an empty folder becomes a link. */
static int show(const char *from, const struct mount_args *args)
{
    if (inside_root()[0] == '\0') {
        unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY;
        if (mount(from, args->target, NULL, MS_BIND, NULL) < 0)
            return -1;
        return args->read_only ? mount(NULL, args->target, NULL, flags, NULL) : 0;
    }
    if (!is_below(inside_root(), from) || !is_below(inside_root(), args->target))
        return errno = EINVAL, -1;
    autofree char *link = relative_link(inside_root(), from, args->target);
    char now[4096];
    ssize_t len = readlink(args->target, now, sizeof now - 1);
    if (len > 0) {
        now[len] = '\0';
        return strcmp(now, link) == 0 ? 0 : (errno = EBUSY, -1);
    }
    if (rmdir(args->target) < 0)
        return -1;
    return symlink(link, args->target);
}

static int mount_disk(const char *disk, const struct mount_args *args)
{
    autoerr struct err err = ERR_INIT;
    autofree char *uuid = file_system(disk);
    if (uuid == NULL) {
        fprintf(stderr,
                "mount: %s: wrong fs type, bad option, bad superblock on %s, missing codepage or "
                "helper program, or other error.\n",
                args->target, args->device);
        return MOUNT_FAILS;
    }
    autofree char *from = content_folder(disk, uuid, &err);
    if (from == NULL) {
        fprintf(stderr, "mount: %s\n", err_text(&err));
        return MOUNT_FAILS;
    }
    if (show(from, args) < 0) {
        fprintf(stderr, "mount: %s: %s.\n", args->target, strerror(errno));
        return MOUNT_FAILS;
    }
    return 0;
}

int mount_command(int argc, char **argv)
{
    struct mount_args args;
    autofree char *disk = parse(argc, argv, &args) ? disk_of(args.device) : NULL;
    if (disk != NULL)
        return mount_disk(disk, &args);
    execv(REAL_MOUNT, argv);
    fprintf(stderr, "mount: %s: %s\n", REAL_MOUNT, strerror(errno));
    return MOUNT_FAILS;
}

/* ---- mdadm ---- */

/* An array is one more disk; which disks are in it is kept beside it. Assembling knows the name and
 * the disks it was created with. */
struct array {
    const char *device;
    struct strv disks;
    bool create, assemble;
};

static bool array_parse(int argc, char **argv, struct array *out)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--create") == 0 || strcmp(argv[i], "-C") == 0)
            out->create = true;
        else if (strcmp(argv[i], "--assemble") == 0 || strcmp(argv[i], "-A") == 0)
            out->assemble = true;
        else if (argv[i][0] == '-')
            continue;
        else if (out->device == NULL)
            out->device = argv[i];
        else
            strv_add(&out->disks, argv[i]);
    }
    return out->create != out->assemble && out->device != NULL && out->disks.len > 0;
}

static int array_size(const struct array *array, off_t *total)
{
    for (size_t i = 0; i < array->disks.len; i++) {
        struct stat st;
        autofree char *disk = disk_of(array->disks.items[i]);
        if (disk == NULL || stat(disk, &st) < 0) {
            fprintf(stderr, "mdadm: cannot open %s: No such file or directory\n",
                    array->disks.items[i]);
            return -1;
        }
        *total += st.st_size;
    }
    return 0;
}

static int array_create(const struct array *array, const char *image, const char *record,
                        const char *members, struct err *err)
{
    off_t total = 0;
    if (array_size(array, &total) < 0)
        return err_set(err, ERR_FAILED, "the array was not created");
    autoclose int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
    if (fd < 0 || ftruncate(fd, total) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be made", image);
    return fs_write(record, members, strlen(members), 0644, err);
}

/* `mdadm --create` and `--assemble` of an array by its name, and no more. */
static int array_run(const struct array *array, struct err *err)
{
    const char *name = strrchr(array->device, '/');
    name = name != NULL ? name + 1 : array->device;
    const char *root = inside_root();
    autofree char *image = xasprintf("%s/emulator/ssd/md-%s.img", root, name);
    autofree char *record = xasprintf("%s/emulator/ssd/md-%s.members", root, name);
    autofree char *link = xasprintf("%s/dev/md/%s", root, name);
    autofree char *members = strv_join(&array->disks, "\n");
    autobuf struct buf known = BUF_INIT(BUF_SMALL);
    if (array->create && array_create(array, image, record, members, err) < 0)
        return -1;
    if (fs_read(record, &known, err) < 0 || strcmp(known.data, members) != 0)
        return err_set(err, ERR_FAILED, "no RAID superblock on %s", array->disks.items[0]);
    if ((unlink(link) < 0 && errno != ENOENT) || symlink(image, link) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be made", link);
    return 0;
}

int mdadm_command(int argc, char **argv)
{
    autoerr struct err err = ERR_INIT;
    struct array array = {.device = NULL};
    int status = 2;
    if (!array_parse(argc, argv, &array)) {
        fprintf(stderr, "mdadm: here there are --create and --assemble of DEVICE DISK… only\n");
    } else if (array_run(&array, &err) < 0) {
        fprintf(stderr, "mdadm: %s\n", err_text(&err));
        status = 1;
    } else {
        fprintf(stderr, "mdadm: %s has been started with %zu drives.\n", array.device,
                array.disks.len);
        status = 0;
    }
    strv_clear(&array.disks);
    return status;
}
