/* Where the services are, and what moves them. */
#include "necoops/google/api.h"

#include <string.h>
#include "necoops/base/text.h"

static const struct {
    const char *url;      /* where it is */
    const char *variable; /* moves this one */
    const char *path;     /* below a moved host */
} services[] = {
    [GOOGLE_COMPUTE] = {"https://compute.googleapis.com/compute/v1", "NECOOPS_COMPUTE_ENDPOINT",
                        "/compute/v1"},
    [GOOGLE_STORAGE] = {"https://storage.googleapis.com", "STORAGE_EMULATOR_HOST", ""},
    [GOOGLE_OAUTH] = {"https://oauth2.googleapis.com/token", NULL, "/token"},
    [GOOGLE_STS] = {"https://sts.googleapis.com/v1/token", NULL, "/v1/token"},
    [GOOGLE_IAM] = {"https://iamcredentials.googleapis.com", NULL, ""},
    [GOOGLE_SECRETS] = {"https://secretmanager.googleapis.com/v1", NULL, "/v1"},
};

#define EVERYTHING "NECOOPS_EMULATOR"

/* With a scheme, without slashes at the end; caller frees. */
static char *normalized(const char *value)
{
    size_t len = strlen(value);

    while (len > 0 && value[len - 1] == '/')
        len--;
    return xasprintf("%s%.*s", strstr(value, "://") != NULL ? "" : "http://", (int)len, value);
}

static bool has_path(const char *url)
{
    return strchr(strstr(url, "://") + 3, '/') != NULL;
}

char *google_endpoint(const struct run *run, enum google_service service)
{
    const char *variable = services[service].variable;
    const char *own = variable != NULL ? run_env(run, variable) : NULL;
    const char *all = run_env(run, EVERYTHING);
    autofree char *base = NULL;

    if (own == NULL && all == NULL)
        return xstrdup(services[service].url);
    base = normalized(own != NULL ? own : all);
    /* An endpoint given in full is taken as it is. */
    if (own != NULL && has_path(base))
        return steal(base);
    return xasprintf("%s%s", base, services[service].path);
}

char *google_metadata_url(const struct run *run, const char *path)
{
    /* By address: it works before there is a resolver, and no resolver can lie about it. */
    const char *host = run_env(run, "GCE_METADATA_HOST");
    autofree char *base = normalized(host != NULL ? host : "169.254.169.254");

    return xasprintf("%s/computeMetadata/v1/%s", base, path);
}

/* The variable whose value the URL begins with, or NULL. */
static const char *moved_by(const struct run *run, const char *url)
{
    static const char *const variables[] = {"NECOOPS_COMPUTE_ENDPOINT", "STORAGE_EMULATOR_HOST",
                                            "GCE_METADATA_HOST", EVERYTHING};

    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = run_env(run, variables[i]);
        autofree char *base = value != NULL ? normalized(value) : NULL;

        if (base != NULL && text_starts(url, base))
            return variables[i];
    }
    return NULL;
}

static bool names_host(const char *url, const char *text)
{
    struct url_parts parts;

    return url_split(url, &parts) && strstr(text, parts.host) != NULL;
}

/* " (from 'http://host:port')" where the text does not name the host already; caller frees. */
static char *origin(const char *url, const char *text)
{
    struct url_parts parts;

    if (!url_split(url, &parts) || names_host(url, text))
        return xstrdup("");
    return xasprintf(" (from '%s://%s:%d')", parts.scheme, parts.host, parts.port);
}

/* Is this an error that another endpoint would cure? */
static bool is_curable(const struct run *run, const char *url, const struct err *err)
{
    autoerr struct err end = ERR_INIT;

    /* What this request needed first, its token, has its own way out. */
    if (strstr(err_text(err), "; check ") != NULL)
        return false;
    /* The run is over; that is the endpoint's fault when it did not answer. */
    if (run_check(run, NULL, &end) < 0)
        return err->code == ERR_TIMEOUT && moved_by(run, url) != NULL &&
               names_host(url, err_text(err));
    return err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT || err->code == ERR_PROTOCOL ||
           err->code == ERR_USAGE;
}

int google_hint(const struct run *run, const char *url, struct err *err)
{
    struct err before = *err;
    const char *variable = moved_by(run, url);
    const char *advice =
        variable != NULL ? variable : "the network, and HTTPS_PROXY if there is a proxy";

    if (!is_curable(run, url, err))
        return -1;
    autofree char *from = origin(url, err_text(err));
    autofree char *text = xasprintf("%s%s; check %s", err_text(err), from, advice);

    err_set(err, before.code, "%s", text);
    err->http_status = before.http_status;
    memcpy(err->reason, before.reason, sizeof(err->reason));
    return -1;
}
