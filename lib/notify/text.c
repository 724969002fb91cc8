/* What comes from outside, fit to be sent on. */
#include "internal.h"

#include <string.h>
#include "necoops/base/text.h"

#define ELLIPSIS "…"

/* Where a character begins at or before `at`. */
static size_t boundary(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) {
        at--;
    }
    return at;
}

char *notify_text(const char *text, size_t most)
{
    autofree char *flat = NULL;
    autofree char *visible = NULL;
    /* each byte becomes one or more: what lies beyond cannot be seen anyhow */
    size_t len = text ? strnlen(text, most + 1) : 0;

    flat = xstrndup(text ? text : "", len);
    for (char *c = flat; *c; c++) {
        if (*c == '\n' || *c == '\t' || *c == '\r') {
            *c = ' ';
        }
    }
    visible = text_visible(flat, len, false);
    if (strlen(visible) <= most && len <= most) {
        return steal(visible);
    }
    len = strlen(visible);
    len = boundary(visible, len < most - strlen(ELLIPSIS) ? len : most - strlen(ELLIPSIS));
    return xasprintf("%.*s" ELLIPSIS, (int)len, visible);
}

const char *notify_link(const char *url)
{
    struct url_parts parts;

    if (!url || !url_split(url, &parts) ||
        (strcmp(parts.scheme, "https") != 0 && strcmp(parts.scheme, "http") != 0)) {
        return NULL;
    }
    for (const char *c = url; *c; c++) {
        if (*c <= ' ' || *c > '~' || strchr("\"<>\\^`{|}", *c)) {
            return NULL;
        }
    }
    return url;
}
