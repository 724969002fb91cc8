/* The words for answers and for their absence. */
#include "http/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX  300
#define TITLE_MAX 80

/* ---- what was answered ---- */

static bool is_html(const struct http_response *response)
{
    const char *type = http_header(response, "Content-Type");
    const char *text = response->body.data + strspn(response->body.data, " \t\r\n");

    return (type != NULL && strncasecmp(type, "text/html", 9) == 0) ||
           strncasecmp(text, "<!doctype html", 14) == 0 || strncasecmp(text, "<html", 5) == 0;
}

/* The page's title, or NULL; caller frees. */
static char *html_title(const char *page)
{
    const char *start = strcasestr(page, "<title>");
    const char *end = start != NULL ? strcasestr(start, "</title>") : NULL;
    size_t len;

    if (end == NULL)
        return NULL;
    start += strlen("<title>");
    start += strspn(start, " \t\r\n");
    len = (size_t)(end - start);
    while (len > 0 && isspace((unsigned char)start[len - 1]))
        len--;
    return len > 0 && len <= TITLE_MAX ? text_visible(start, len, false) : NULL;
}

/* One line of the text, bounded, without secrets. */
static char *excerpt(const struct buf *body)
{
    autofree char *clean =
        redact_text(body->data, body->len > TEXT_MAX * 2 ? TEXT_MAX * 2 : body->len);
    size_t len = strlen(clean);
    size_t to = 0;

    for (size_t at = 0; at < len; at++) { /* runs of white space become one space */
        bool space = isspace((unsigned char)clean[at]) != 0;

        if (!space)
            clean[to++] = clean[at];
        else if (to > 0 && clean[to - 1] != ' ')
            clean[to++] = ' ';
    }
    while (to > 0 && clean[to - 1] == ' ')
        to--;
    if (to <= TEXT_MAX)
        return text_visible(clean, to, false);
    to = TEXT_MAX;
    while (to > 0 && ((unsigned char)clean[to] & 0xc0) == 0x80)
        to--; /* not in the middle of a character */
    autofree char *visible = text_visible(clean, to, false);

    return xasprintf("%s…", visible);
}

char *http_summary(const struct http_response *response)
{
    if (is_html(response)) {
        autofree char *title = html_title(response->body.data);

        return title != NULL
                   ? xasprintf("answered %d with an HTML page ('%s')", response->status, title)
                   : xasprintf("answered %d with an HTML page", response->status);
    }
    autofree char *text = excerpt(&response->body);

    return text[0] != '\0' ? xasprintf("answered %d: %s", response->status, text)
                           : xasprintf("answered %d without a word", response->status);
}

/* ---- why there was no answer ---- */

/* Is it known that the proxy was in the way? With NO_PROXY only libcurl knows; its words tell. */
static bool through_proxy(const struct http_transfer *transfer)
{
    autofree char *host = NULL;

    if (transfer->proxy == NULL || !transfer->proxy_may_not)
        return transfer->proxy != NULL;
    host = xstrndup(transfer->proxy, strcspn(transfer->proxy, ":"));
    return transfer->cause.proxy_said != 0 || transfer->cause.code == CURLE_COULDNT_RESOLVE_PROXY ||
           strstr(transfer->curl_error, host) != NULL;
}

/* "http://host:port", never the path or the query. */
static char *place(const struct http_transfer *transfer)
{
    const struct url_parts *url = &transfer->url;
    bool v6 = strchr(url->host, ':') != NULL;
    autofree char *through = through_proxy(transfer)
                                 ? xasprintf(" (through the proxy '%s')", transfer->proxy)
                                 : xstrdup("");

    return xasprintf("'%s://%s%s%s:%d'%s", url->scheme, v6 ? "[" : "", url->host, v6 ? "]" : "",
                     url->port, through);
}

/* libcurl's own words, made to fit ours. */
static char *detail(const struct http_transfer *transfer)
{
    const char *text = transfer->curl_error[0] != '\0' ? transfer->curl_error
                                                       : curl_easy_strerror(transfer->cause.code);
    char *line = text_visible(text, strlen(text), false);

    if (isupper((unsigned char)line[0]) && !isupper((unsigned char)line[1]))
        line[0] = (char)tolower((unsigned char)line[0]);
    return line;
}

static char *connect_reason(const struct http_transfer *transfer)
{
    long number = 0;
    char space[128];
    char *text;

    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
    if (number == 0)
        return detail(transfer);
    text = xstrdup(strerror_r((int)number, space, sizeof(space)));
    text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

#define OWN_CA "; a CA of your own goes into CURL_CA_BUNDLE, SSL_CERT_FILE or the kubeconfig"

static const struct failure {
    CURLcode code;
    enum err_code kind;
    const char *before; /* before the place */
    const char *reason; /* NULL: libcurl's words */
    const char *advice;
} failures[] = {
    {CURLE_COULDNT_CONNECT, ERR_UNREACHABLE, "cannot connect to", NULL, ""},
    {CURLE_OPERATION_TIMEDOUT, ERR_UNREACHABLE, "cannot connect to", "no answer within 10 s", ""},
    {CURLE_COULDNT_RESOLVE_HOST, ERR_UNREACHABLE, "cannot connect to",
     "no address is known for that name", ""},
    {CURLE_COULDNT_RESOLVE_PROXY, ERR_UNREACHABLE, "cannot connect to",
     "no address is known for the proxy's name", ""},
    {CURLE_PEER_FAILED_VERIFICATION, ERR_UNREACHABLE, "cannot trust the certificate of", NULL,
     OWN_CA},
    {CURLE_SSL_CERTPROBLEM, ERR_DENIED, "cannot use the client certificate for", NULL, ""},
    {CURLE_SSL_CONNECT_ERROR, ERR_UNREACHABLE, "cannot set up TLS with", NULL, ""},
    {CURLE_SSL_CACERT_BADFILE, ERR_FAILED, "cannot read the CA certificates for", NULL, ""},
    {CURLE_UNSUPPORTED_PROTOCOL, ERR_PROTOCOL, "cannot speak HTTP with", NULL, ""},
    {CURLE_WEIRD_SERVER_REPLY, ERR_PROTOCOL, "cannot speak HTTP with", NULL, ""},
    {CURLE_PARTIAL_FILE, ERR_UNREACHABLE, "lost the connection to", NULL, ""},
    {CURLE_GOT_NOTHING, ERR_UNREACHABLE, "lost the connection to", NULL, ""},
    {CURLE_SEND_ERROR, ERR_UNREACHABLE, "lost the connection to", NULL, ""},
    {CURLE_RECV_ERROR, ERR_UNREACHABLE, "lost the connection to", NULL, ""},
};

static struct failure find_failure(CURLcode code)
{
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        if (failures[i].code == code)
            return failures[i];
    }
    return (struct failure){code, ERR_UNREACHABLE, "no answer from", NULL, ""};
}

static void describe_curl(struct http_transfer *transfer, const char *where)
{
    struct failure failure = find_failure(transfer->cause.code);
    long proxy_said = transfer->cause.proxy_said;
    autofree char *reason = NULL;

    if (proxy_said >= 300) {
        err_set(&transfer->last, proxy_said == 407 ? ERR_DENIED : ERR_UNREACHABLE,
                "cannot connect to %s: the proxy answered %ld; check HTTPS_PROXY and NO_PROXY",
                where, proxy_said);
        return;
    }
    if (failure.reason != NULL)
        reason = xstrdup(failure.reason);
    else if (failure.code == CURLE_COULDNT_CONNECT)
        reason = connect_reason(transfer);
    else
        reason = detail(transfer);
    err_set(&transfer->last, failure.kind, "%s %s: %s%s", failure.before, where, reason,
            failure.advice);
}

static bool names_host(const struct http_transfer *transfer)
{
    return strcmp(transfer->request.what, transfer->url.host) == 0;
}

void describe_try(struct http_transfer *transfer)
{
    struct err *err = &transfer->last;
    autofree char *where = place(transfer);

    if (transfer->cause.cut == CUT_TIMEOUT) {
        err_set(err, ERR_TIMEOUT, "no whole answer from %s within %lld s", where,
                (long long)((transfer->request.timeout_ms + 999) / 1000));
    } else if (transfer->cause.cut == CUT_STALL) {
        long long seconds = (long long)((transfer->request.stall_ms + 999) / 1000);

        if (transfer->trickle > 0)
            err_set(err, ERR_TIMEOUT, "%s sent only %llu bytes in %lld s", where,
                    (unsigned long long)transfer->trickle, seconds);
        else
            err_set(err, ERR_TIMEOUT, "%s was silent for %lld s", where, seconds);
    } else if (transfer->cause.code != CURLE_OK) {
        describe_curl(transfer, where);
    } else if (transfer->response.status >= 300) {
        autofree char *answer = http_summary(&transfer->response);

        err_set(err, ERR_UNREACHABLE, "%s %s", where, answer);
    } else {
        err_clear(err);
        return;
    }
    if (!names_host(transfer))
        err_prefix(err, "%s", transfer->request.what);
}

/* A request that may be silent (a long poll, a watch) is not to blame for the end. */
void describe_run_end(const struct http_transfer *transfer, struct err *err)
{
    int64_t silent = run_mono_ms(transfer->http->run) - transfer->last_moved;
    autofree char *text = xstrdup(err_text(err));
    autofree char *where = place(transfer);

    if (err->code != ERR_TIMEOUT)
        return;
    if (transfer->state == RUNNING && transfer->request.stall_ms > 0 && silent >= 1000)
        err_set(err, ERR_TIMEOUT, "%s: no answer from %s for %lld s", text, where,
                (long long)(silent / 1000));
    else if (transfer->last.code != ERR_NONE)
        err_set(err, ERR_TIMEOUT, "%s: the last try ended with: %s", text,
                err_text(&transfer->last));
}
