/* Which proxy a request takes: the environment as curl(1) reads it, but of the run, not of the
 * process. Loopback is never reached through one: credentials that may go there in the clear would
 * leave the machine. */
#include "http/internal.h"

#include <string.h>

static const char *first_env(const struct run *run, const char *const *names)
{
    for (; *names != NULL; names++) {
        const char *value = run_env(run, *names);

        if (value != NULL)
            return value;
    }
    return NULL;
}

struct proxy_choice proxy_choose(const struct run *run, const struct http_transfer *transfer)
{
    /* HTTP_PROXY in capitals is what a CGI server makes of a request's header: not taken. */
    static const char *const plain[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const tls[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const exclude[] = {"no_proxy", "NO_PROXY", NULL};
    struct proxy_choice choice = {.url = transfer->request.proxy, .exclude = ""};
    bool is_tls = strcmp(transfer->url.scheme, "https") == 0;

    if (choice.url != NULL)
        return choice;
    if (!host_is_loopback(transfer->url.host)) {
        choice.url = first_env(run, is_tls ? tls : plain);
        choice.exclude = first_env(run, exclude);
    }
    if (choice.url == NULL)
        choice.url = "";
    if (choice.exclude == NULL)
        choice.exclude = "";
    return choice;
}

char *proxy_name(const char *url)
{
    const char *start = strstr(url, "://");
    const char *at;
    const char *end;

    start = start != NULL ? start + 3 : url;
    end = start + strcspn(start, "/");
    at = memrchr(start, '@', (size_t)(end - start));
    if (at != NULL)
        start = at + 1;
    return xstrndup(start, (size_t)(end - start));
}
