/* Pieces of a machine's file tree. Everything made belongs to the machine's root user; what is
 * there already (a reboot) stays. */
#include "emulator/machine/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define SSD_BYTES ((off_t)64 << 20)

/* The commands that are this program; see machine.h. */
const char *const command_names[] = {
    "pmctl",  "ckecli",   "iptables", "ip6tables", "mdadm",     "mount",
    "reboot", "poweroff", "shutdown", "sudo",      "systemctl", NULL,
};

static int fail(const char *path, struct err *err)
{
    return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be made", path);
}

static int give(const struct init *init, const char *path, struct err *err)
{
    if (init->owner != 0 && lchown(path, init->owner, init->owner) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be given to the machine", path);
    return 0;
}

int make_folder(const struct init *init, const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? 0 : fail(path, err);
    if (chmod(path, mode) < 0)
        return fail(path, err);
    return give(init, path, err);
}

int make_file(const struct init *init, const char *path, const void *data, size_t len,
              struct err *err)
{
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len)
        return fail(path, err);
    return give(init, path, err);
}

int make_link(const struct init *init, const char *target, const char *path, struct err *err)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return fail(path, err);
    if (symlink(target, path) < 0)
        return fail(path, err);
    return give(init, path, err);
}

/* A disk nothing was written to yet: only its size is there. */
int make_ssd(const struct init *init, const char *path, struct err *err)
{
    autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || (st.st_size == 0 && ftruncate(fd, SSD_BYTES) < 0))
        return fail(path, err);
    return give(init, path, err);
}

int make_programs(const struct init *init, const char *dir,
                  int (*place)(const struct init *init, const char *from, const char *to,
                               struct err *err),
                  struct err *err)
{
    autofree char *from =
        xstrndup(init->program, (size_t)(strrchr(init->program, '/') - init->program));
    if (make_folder(init, dir, 0755, err) < 0)
        return -1;
    DIR *folder = opendir(from);
    int result = 0;
    for (const struct dirent *entry;
         result == 0 && folder != NULL && (entry = readdir(folder)) != NULL;) {
        autofree char *program = path_join(from, entry->d_name);
        autofree char *to = path_join(dir, entry->d_name);
        if (text_starts(entry->d_name, "necoops-") && access(program, X_OK) == 0)
            result = place(init, program, to, err);
    }
    if (folder != NULL)
        closedir(folder);
    return result;
}

int make_commands(const struct init *init, const char *dir, const char *program, struct err *err)
{
    if (make_folder(init, dir, 0755, err) < 0)
        return -1;
    for (size_t i = 0; command_names[i] != NULL; i++) {
        autofree char *path = path_join(dir, command_names[i]);
        if (make_link(init, program, path, err) < 0)
            return -1;
    }
    return 0;
}

int make_gitconfig(const struct init *init, const char *path, const char *base, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    const cJSON *mirror;
    int i = 0;
    buf_adds(&text, "[safe]\n\tdirectory = *\n");
    cJSON_ArrayForEach(mirror, json_at(init->config, "mirrors"))
    {
        const char *url = json_str_or(mirror, "url", "");
        int len = (int)strlen(url) - (text_ends(url, ".git") ? 4 : 0);
        autofree char *dir =
            base != NULL ? xasprintf("%s/%d", base, i++) : xstrdup(json_str_or(mirror, "dir", ""));
        if (strpbrk(url, "\"\\\n") != NULL || strpbrk(dir, "\"\\\n") != NULL)
            continue;
        buf_addf(&text, "[url \"%s\"]\n\tinsteadOf = \"%.*s.git\"\n\tinsteadOf = \"%.*s\"\n", dir,
                 len, url, len, url);
    }
    return make_file(init, path, text.data, text.len, err);
}
