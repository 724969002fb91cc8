/* Spellings of a repository's URL. */
#include "internal.h"

#include <ctype.h>
#include "necoops/base/text.h"

/* Where "host:path" (no scheme) is split, or NULL when the text is not of that form. */
static const char *scp_colon(const char *url)
{
    const char *colon = strchr(url, ':');
    const char *slash = strchr(url, '/');

    if (strstr(url, "://") || !colon || (slash && slash < colon)) {
        return NULL;
    }
    return colon;
}

static const char *after_user(const char *authority, size_t len)
{
    const char *at = memchr(authority, '@', len);

    return at ? at + 1 : authority;
}

static size_t without_default_port(const char *scheme, const char *host, size_t len)
{
    static const struct {
        const char *scheme, *port;
    } ports[] = {{"https", ":443"}, {"http", ":80"}, {"ssh", ":22"}, {"git", ":9418"}};

    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        size_t port_len = strlen(ports[i].port);

        if (strcasecmp(scheme, ports[i].scheme) == 0 && len > port_len &&
            memcmp(host + len - port_len, ports[i].port, port_len) == 0) {
            return len - port_len;
        }
    }
    return len;
}

static char *trimmed_path(const char *path)
{
    size_t len;

    path += strspn(path, "/");
    len = strlen(path);
    while (len && path[len - 1] == '/') {
        len--;
    }
    if (len > 4 && strncasecmp(path + len - 4, ".git", 4) == 0) {
        len -= 4;
    }
    return xstrndup(path, len);
}

static char *host_and_path(const char *host, size_t len, const char *path)
{
    autofree char *name = xstrndup(host, len);
    autofree char *rest = trimmed_path(path);

    for (char *c = name; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return xasprintf("%s/%s", name, rest);
}

char *git_url_normal(const char *url)
{
    const char *mark = strstr(url, "://");
    const char *colon = scp_colon(url);

    if (colon) {
        const char *host = after_user(url, (size_t)(colon - url));

        return host_and_path(host, (size_t)(colon - host), colon + 1);
    }
    if (!mark) { /* a folder */
        autofree char *path = trimmed_path(url);

        return xasprintf("%s%s", url[0] == '/' ? "/" : "", path);
    }
    autofree char *scheme = xstrndup(url, (size_t)(mark - url));
    const char *authority = mark + 3;
    size_t len = strcspn(authority, "/");
    const char *host = after_user(authority, len);
    size_t host_len = without_default_port(scheme, host, (size_t)(authority + len - host));

    if (strcasecmp(scheme, "file") == 0) {
        autofree char *path = trimmed_path(authority + len);

        return xasprintf("/%s", path);
    }
    return host_and_path(host, host_len, authority + len);
}

bool git_url_same(const char *a, const char *b)
{
    autofree char *one = git_url_normal(a);
    autofree char *two = git_url_normal(b);

    return strcmp(one, two) == 0;
}
