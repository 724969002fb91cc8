/* Takes secrets out of what is logged: URLs, headers, forms, JSON, YAML and PEM alike. It looks for
 * names that are known to hold a secret and masks the value behind them, and for the shapes of
 * bearer tokens, JWTs and private keys wherever they stand. */
#include "http/internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MASK "[redacted]"

static const char *const secret_names[] = {
    "access_token",
    "accesstoken",
    "assertion",
    "authorization",
    "client-key-data",
    "clientkeydata",
    "client_assertion",
    "client_secret",
    "cookie",
    "id_token",
    "idtoken",
    "password",
    "private_key",
    "privatekeydata",
    "proxy-authorization",
    "refresh_token",
    "set-cookie",
    "signature",
    "subject_token",
    "token",
    "upload_id",
    "x-goog-encryption-key",
    "x-goog-signature",
    "x-guploader-uploadid",
};

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static bool is_secret_name(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(secret_names); i++) {
        if (strlen(secret_names[i]) == len && strncasecmp(secret_names[i], name, len) == 0)
            return true;
    }
    return false;
}

/* Length of a quoted value from its opening quote, the quotes included. */
static size_t quoted_len(const char *text, size_t len)
{
    size_t at = 1;

    while (at < len && text[at] != text[0])
        at += text[at] == '\\' && at + 1 < len ? 2 : 1;
    return at < len ? at + 1 : len;
}

/* Length of the value behind a name: to its closing quote, or to what ends a form's or a line's. */
static size_t value_len(const char *text, size_t len, char separator)
{
    size_t at = 0;

    if (len > 0 && (text[0] == '"' || text[0] == '\''))
        return quoted_len(text, len);
    if (separator == '=')
        while (at < len && strchr("& \t\r\n,;\"'", text[at]) == NULL)
            at++;
    else
        while (at < len && strchr("\r\n,}\"", text[at]) == NULL)
            at++;
    return at;
}

/* `name` [quote] [space] (: | =) [space]: length of what stands between name and value, or 0. */
static size_t separator_len(const char *text, size_t len, char *separator)
{
    size_t at = 0;

    while (at < len && (text[at] == '"' || text[at] == '\'' || text[at] == '\\'))
        at++;
    while (at < len && (text[at] == ' ' || text[at] == '\t'))
        at++;
    if (at == len || (text[at] != ':' && text[at] != '='))
        return 0;
    *separator = text[at++];
    while (at < len && (text[at] == ' ' || text[at] == '\t' || text[at] == '\\'))
        at++;
    return at;
}

/* A PEM private key that starts here: its whole length, or 0. */
static size_t pem_len(const char *text, size_t len)
{
    static const char begin[] = "-----BEGIN ";
    static const char end[] = "-----END ";
    const char *stop;
    const char *close;

    if (len < sizeof(begin) || memcmp(text, begin, sizeof(begin) - 1) != 0)
        return 0;
    close = memmem(text + sizeof(begin), len - sizeof(begin), "-----", 5);
    if (close == NULL || memmem(text, (size_t)(close - text), "PRIVATE KEY", 11) == NULL)
        return 0;
    stop = memmem(text, len, end, sizeof(end) - 1);
    return stop != NULL ? (size_t)(stop - text) : len;
}

static size_t token_run(const char *text, size_t len)
{
    size_t at = 0;

    while (at < len && (is_name_char(text[at]) || strchr("._~+/=", text[at]) != NULL) &&
           text[at] != '\0')
        at++;
    return at;
}

/* A JWT, one of Google's access tokens, or what follows "Bearer ": its length, or 0. */
static size_t token_len(const char *text, size_t len)
{
    size_t run = token_run(text, len);

    if (run > 20 && strncmp(text, "eyJ", 3) == 0 && memchr(text, '.', run) != NULL)
        return run;
    return run > 5 && strncmp(text, "ya29.", 5) == 0 ? run : 0;
}

/* Bytes of `text` that are a secret by themselves. `keep` of them are shown before the mask. */
static size_t secret_here(const char *text, size_t len, size_t *keep)
{
    size_t name = 0;
    size_t between;
    size_t found;
    char separator = '\0';

    *keep = 0;
    if ((found = pem_len(text, len)) > 0 || (found = token_len(text, len)) > 0)
        return found;
    if (len > 7 && strncasecmp(text, "Bearer ", 7) == 0) {
        *keep = 7;
        return 7 + token_run(text + 7, len - 7);
    }
    while (name < len && is_name_char(text[name]))
        name++;
    if (!is_secret_name(text, name))
        return 0;
    between = separator_len(text + name, len - name, &separator);
    if (between == 0)
        return 0;
    *keep = name + between;
    return *keep + value_len(text + *keep, len - *keep, separator);
}

/* The data of Kubernetes' Secrets has no names of its own. */
static bool holds_secret_object(const char *text, size_t len)
{
    return memmem(text, len, "\"kind\":\"Secret", 14) != NULL ||
           memmem(text, len, "\"kind\": \"Secret", 15) != NULL ||
           memmem(text, len, "kind: Secret", 12) != NULL;
}

char *redact_text(const char *text, size_t len)
{
    struct buf out = BUF_INIT(SIZE_MAX / 2);
    size_t at = 0;

    if (holds_secret_object(text, len))
        return xasprintf("[%zu bytes with a Secret]", len);
    while (at < len) {
        bool word_start = at == 0 || !is_name_char(text[at - 1]);
        size_t keep = 0;
        size_t found = word_start ? secret_here(text + at, len - at, &keep) : 0;

        if (found > keep) {
            buf_add(&out, text + at, keep);
            buf_adds(&out, MASK);
            at += found;
        } else {
            buf_addc(&out, text[at] != '\0' ? text[at] : ' ');
            at++;
        }
    }
    return buf_steal(&out);
}
