#include <string.h>
#include "snapshot/tar.h"

#define NAME_BYTES_MAX 255
#define DEPTH_MAX      100

/* The length of the UTF-8 sequence at `p` (RFC 3629), 0 when it is none; `*point` is its value. */
static size_t utf8_at(const unsigned char *p, uint32_t *point)
{
    if (p[0] < 0x80) {
        *point = p[0];
        return 1;
    }
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    uint32_t value = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return len;
}

/* Also refused: the marks that turn the direction of writing, which make one name look like
 * another. */
static bool is_unfit(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

static int check_characters(const char *path, struct err *err)
{
    const unsigned char *p = (const unsigned char *)path;
    while (*p) {
        uint32_t point = 0;
        size_t len = utf8_at(p, &point);
        if (len == 0)
            return err_set(err, ERR_FAILED, "name is not UTF-8");
        if (is_unfit(point))
            return err_set(err, ERR_FAILED, "name has a control character in it");
        p += len;
    }
    return 0;
}

/* Adds one component; `*depth` counts them. */
static int add_component(struct buf *plain, const char *name, size_t len, size_t *depth,
                         struct err *err)
{
    if (len == 0 || (len == 1 && name[0] == '.'))
        return 0;
    if (len == 2 && memcmp(name, "..", 2) == 0)
        return err_set(err, ERR_FAILED, "path leaves the destination with '..'");
    if (len > NAME_BYTES_MAX)
        return err_set(err, ERR_FAILED, "name is longer than %d bytes", NAME_BYTES_MAX);
    if (++*depth > DEPTH_MAX)
        return err_set(err, ERR_FAILED, "path has more than %d folders", DEPTH_MAX);
    if ((plain->len > 0 && buf_addc(plain, '/') != 0) || buf_add(plain, name, len) != 0)
        return err_set(err, ERR_FAILED, "path is longer than %d bytes", TAR_PATH_MAX);
    return 0;
}

int tar_clean_path(const char *path, char **out, struct err *err)
{
    autobuf struct buf plain = BUF_INIT(TAR_PATH_MAX);
    if (path[0] == '\0')
        return err_set(err, ERR_FAILED, "name is empty");
    if (path[0] == '/')
        return err_set(err, ERR_FAILED, "path is absolute");
    if (check_characters(path, err) != 0)
        return -1;
    size_t depth = 0;
    for (const char *p = path; *p;) {
        size_t len = strcspn(p, "/");
        if (add_component(&plain, p, len, &depth, err) != 0)
            return -1;
        p += len;
        p += *p == '/';
    }
    *out = buf_steal(&plain);
    return 0;
}

/* Up only before it leads down: then no link that it meets on the way can bring it out either. */
int tar_check_link(const char *path, const char *link, struct err *err)
{
    size_t depth = 0;
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    if (link[0] == '\0')
        return err_set(err, ERR_FAILED, "link without a target");
    if (link[0] == '/')
        return err_set(err, ERR_FAILED, "link leads to an absolute path");
    bool down = false;
    for (const char *p = link; *p;) {
        size_t len = strcspn(p, "/");
        bool up = len == 2 && memcmp(p, "..", 2) == 0;
        if (up && (down || depth == 0))
            return err_set(err, ERR_FAILED, "link leads out of the destination");
        depth -= up;
        down = down || !(up || len == 0 || (len == 1 && *p == '.'));
        p += len;
        p += *p == '/';
    }
    /* The characters are held to the same rule as a name's. */
    autofree char *plain = NULL;
    const char *names = link + strspn(link, "./");
    return *names ? tar_clean_path(names, &plain, err) : 0;
}
