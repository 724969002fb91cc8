/* Small things done to strings: percent-encoding, base64, hex, globs, suggestions. */
#ifndef NECOOPS_BASE_TEXT_H
#define NECOOPS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include "necoops/base/buf.h"
#include "necoops/base/strv.h"

bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);
/* Copies into a fixed array and always terminates; true when all of it fit. */
bool text_copy(char *to, size_t size, const char *from);

/* Adds `text` with & < > " ' as XML and HTML want them, in content and in attributes. */
void text_add_markup(struct buf *out, const char *text);

/* Percent-encodes all but RFC 3986 unreserved characters, so that it is one path segment or one
 * query value. Caller frees. */
char *url_encode(const char *text);
/* Decodes %XX ('+' stays); NULL when malformed or when a decoded byte is NUL. Caller frees. */
char *url_decode(const char *text, size_t len);
/* The parts of http[s]://host[:port]/path; borrowed slices copied to the caller's arrays. */
struct url_parts {
    char scheme[16];
    char host[256]; /* without brackets for an IPv6 literal */
    int port;       /* the scheme's own when not given */
    const char *path; /* points into the text: "/…" or "" */
};
bool url_split(const char *url, struct url_parts *out);
/* localhost, 127.0.0.0/8, ::1 */
bool host_is_loopback(const char *host);

char *base64_encode(const void *data, size_t len);     /* padded; caller frees */
char *base64url_encode(const void *data, size_t len);  /* no padding; caller frees */
/* Either alphabet, padding optional, white space skipped; 0, or -1 when malformed. */
int base64_decode(const char *text, size_t len, struct buf *out) MUST_CHECK;
char *hex_encode(const void *data, size_t len);

/* Shell-like '*' and '?' over the whole text. */
bool glob_match(const char *pattern, const char *text);
/* The nearest of `count` candidates, close enough to have been meant, or NULL. */
const char *text_suggest(const char *given, const char *const *candidates, size_t count);

#endif
