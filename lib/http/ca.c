/* Whose certificates are trusted where a request names no CA of its own. */
#include "http/internal.h"

#include <unistd.h>

#define BUNDLE "../share/necoops/ca-certificates.crt" /* of make tarball, seen from the programs   \
                                                       */

/* The file that this libcurl was built to read. */
static const char *system_file(void)
{
    return curl_version_info(CURLVERSION_NOW)->cainfo;
}

static char *bundle_path(void)
{
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);

    if (len <= 0)
        return NULL;
    program[len] = '\0';
    *(strrchr(program, '/') + 1) = '\0';
    return xasprintf("%s" BUNDLE, program);
}

char *ca_fallback(void)
{
    const char *file = system_file();
    autofree char *bundle = NULL;

    if (file != NULL && access(file, R_OK) == 0)
        return NULL;
    bundle = bundle_path();
    return bundle != NULL && access(bundle, R_OK) == 0 ? steal(bundle) : NULL;
}

const char *http_ca_file(const struct http *http)
{
    const char *file = run_env(http->run, "CURL_CA_BUNDLE");

    if (file == NULL)
        file = run_env(http->run, "SSL_CERT_FILE");
    return file != NULL ? file : http->ca_fallback;
}

void ca_set(const struct http *http, CURL *easy)
{
    const char *file = http_ca_file(http);
    const char *dir = run_env(http->run, "SSL_CERT_DIR");

    if (run_env(http->run, "CURL_CA_BUNDLE") == NULL && dir != NULL)
        curl_easy_setopt(easy, CURLOPT_CAPATH, dir);
    if (file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, file);
}
