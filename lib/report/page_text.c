/* Text from anywhere, as HTML. */
#include "report/page.h"

#include <string.h>
#include "necoops/base/log.h"
#include "necoops/base/text.h"

/* How much of the text is kept: not within a character. */
static size_t kept(const char *text, size_t len, size_t most)
{
    if (len <= most) {
        return len;
    }
    for (size_t i = 0; i < 3 && most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80; i++) {
        most--;
    }
    return most;
}

void page_add_text(struct buf *out, const char *text, size_t most)
{
    size_t len = text ? strlen(text) : 0;
    size_t shown = kept(text, len, most);
    autofree char *visible = text_visible(text ? text : "", shown, true);

    text_add_markup(out, visible);
    if (shown < len) {
        buf_addf(out, "… (%zu more bytes)", len - shown);
    }
}

void page_add_attribute(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, " %s=\"", name);
    page_add_text(out, value, PAGE_LINE_MOST);
    buf_addc(out, '"');
}

static bool is_link(const char *url)
{
    struct url_parts parts;

    return url && strlen(url) < PAGE_LINE_MOST && url_split(url, &parts) &&
           (strcmp(parts.scheme, "https") == 0 || strcmp(parts.scheme, "http") == 0);
}

void page_add_link(struct buf *out, const char *text, const char *url)
{
    if (!is_link(url)) {
        page_add_text(out, text, PAGE_LINE_MOST);
        return;
    }
    buf_adds(out, "<a rel=\"noreferrer\"");
    page_add_attribute(out, "href", url);
    buf_addc(out, '>');
    page_add_text(out, text, PAGE_LINE_MOST);
    buf_adds(out, "</a>");
}

/* A commit's name, which no line break may tear apart. */
static bool is_hash(const char *text)
{
    return strlen(text) == 40 && strspn(text, "0123456789abcdef") == 40;
}

void page_add_facts(struct buf *out, const struct page_facts *facts)
{
    bool any = false;

    for (size_t i = 0; i < facts->len; i++) {
        const struct page_fact *fact = &facts->items[i];

        if (!fact->value || !fact->value[0]) {
            continue;
        }
        buf_adds(out, any ? "" : "<dl class=\"facts\">\n");
        any = true;
        buf_adds(out, "<div><dt>");
        page_add_text(out, fact->name, PAGE_LINE_MOST);
        buf_adds(out, is_hash(fact->value) ? "</dt><dd class=\"hash\">" : "</dt><dd>");
        page_add_link(out, fact->value, fact->url);
        buf_adds(out, "</dd></div>\n");
    }
    buf_adds(out, any ? "</dl>\n" : "");
}

const char *page_tone_class(enum page_tone tone)
{
    static const char *const names[] = {"plain", "good", "bad", "wait"};

    return names[tone];
}

const char *page_tone_sign(enum page_tone tone)
{
    static const char *const signs[] = {"–", "✓", "✗", "…"};

    return signs[tone];
}
