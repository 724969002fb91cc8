#include "necoops/base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t len = strlen(text);
    size_t tail = strlen(suffix);

    return len >= tail && memcmp(text + len - tail, suffix, tail) == 0;
}

bool text_copy(char *to, size_t size, const char *from)
{
    size_t len = strlen(from);
    size_t used = len < size ? len : size - 1;

    memcpy(to, from, used);
    to[used] = '\0';
    return used == len;
}

/* ---- percent-encoding, URLs ---- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void text_add_markup(struct buf *out, const char *text)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};

    for (; *text; text++) {
        const char *entity = NULL;

        for (size_t i = 0; i < ARRAY_LEN(entities) && !entity; i++)
            entity = entities[i].c == *text ? entities[i].entity : NULL;
        (void)(entity ? buf_adds(out, entity) : buf_addc(out, *text));
    }
}

char *url_encode(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = xmalloc(strlen(text) * 3 + 1);
    char *end = out;

    for (; *text != '\0'; text++) {
        if (is_alnum(*text) || strchr("-._~", *text) != NULL) {
            *end++ = *text;
        } else {
            *end++ = '%';
            *end++ = digits[(unsigned char)*text >> 4];
            *end++ = digits[(unsigned char)*text & 0xf];
        }
    }
    *end = '\0';
    return out;
}

char *url_decode(const char *text, size_t len)
{
    autofree char *out = xmalloc(len + 1);
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_value(text[i + 2]) : -1;

            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return NULL;
        out[used++] = c;
    }
    out[used] = '\0';
    return steal(out);
}

/* The host at *at, bracketed or not, into `out`. */
static bool take_host(const char **at, struct url_parts *out)
{
    bool literal = **at == '[';
    const char *start = *at + literal;
    const char *end = start;

    while (is_alnum(*end) || strchr(literal ? ".:" : ".-_", *end) != NULL) {
        if (*end == '\0')
            break;
        end++;
    }
    if (end == start || (size_t)(end - start) >= sizeof(out->host) || (literal && *end != ']'))
        return false;
    memcpy(out->host, start, (size_t)(end - start));
    out->host[end - start] = '\0';
    *at = end + literal;
    return true;
}

static bool take_port(const char **at, int *port)
{
    int value = 0;
    int digits = 0;

    if (**at != ':')
        return true;
    for ((*at)++; **at >= '0' && **at <= '9' && digits < 6; (*at)++, digits++)
        value = value * 10 + (**at - '0');
    if (digits == 0 || value < 1 || value > 65535)
        return false;
    *port = value;
    return true;
}

bool url_split(const char *url, struct url_parts *out)
{
    struct url_parts parts = {.port = 443};
    const char *at = url;

    if (strncasecmp(at, "https://", 8) == 0) {
        text_copy(parts.scheme, sizeof(parts.scheme), "https");
        at += 8;
    } else if (strncasecmp(at, "http://", 7) == 0) {
        text_copy(parts.scheme, sizeof(parts.scheme), "http");
        parts.port = 80;
        at += 7;
    } else {
        return false;
    }
    if (!take_host(&at, &parts) || !take_port(&at, &parts.port) || (*at != '\0' && *at != '/'))
        return false;
    parts.path = at;
    for (; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return false; /* would end the request line early */
    }
    *out = parts;
    return true;
}

bool host_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* ---- base64, hex ---- */

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode64(const unsigned char *data, size_t len, const char *letters, bool pad)
{
    char *out = xmalloc((len / 3 + 1) * 4 + 1);
    char *end = out;

    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16;

        if (have > 1)
            bits |= (uint32_t)data[i + 1] << 8;
        if (have > 2)
            bits |= data[i + 2];
        for (size_t k = 0; k < 4; k++) {
            if (k <= have)
                *end++ = letters[bits >> (18 - 6 * k) & 0x3f];
            else if (pad)
                *end++ = '=';
        }
    }
    *end = '\0';
    return out;
}

char *base64_encode(const void *data, size_t len)
{
    return encode64(data, len, base64_letters, true);
}

char *base64url_encode(const void *data, size_t len)
{
    return encode64(data, len, base64url_letters, false);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* `letters` and `padding` of a whole text fit together. */
static bool padding_fits(size_t letters, size_t padding)
{
    size_t rest = letters % 4;

    return rest != 1 && (padding == 0 || (rest > 0 && rest + padding == 4));
}

static int decode64(const char *text, size_t len, struct buf *out)
{
    uint32_t bits = 0;
    size_t letters = 0;
    size_t padding = 0;

    for (size_t i = 0; i < len; i++) {
        int value = base64_value(text[i]);

        if (is_space(text[i]))
            continue;
        if (text[i] == '=') {
            padding++;
            continue;
        }
        if (value < 0 || padding > 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        letters++;
        /* of four letters, each after the first completes a byte */
        if (letters % 4 != 1 && buf_addc(out, (char)(bits >> (4 - letters % 4) % 4 * 2)) < 0)
            return -1;
    }
    return padding_fits(letters, padding) ? 0 : -1;
}

int base64_decode(const char *text, size_t len, struct buf *out)
{
    size_t before = out->len;

    if (decode64(text, len, out) == 0)
        return 0;
    out->len = before;
    if (out->size > 0)
        out->data[before] = '\0';
    return -1;
}

char *hex_encode(const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    char *out = xmalloc(len * 2 + 1);

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 0xf];
    }
    out[2 * len] = '\0';
    return out;
}

/* ---- matching ---- */

bool glob_match(const char *pattern, const char *text)
{
    const char *star = NULL; /* the last '*', and where its match ends so far */
    const char *resume = NULL;

    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

#define SUGGEST_MAX 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that turn one into the other. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][SUGGEST_MAX + 1]; /* of i - 2, i - 1 and i, in turn */

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(above[j - 1] + (tolower((unsigned char)a[i - 1]) !=
                                           tolower((unsigned char)b[j - 1])),
                           least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *text_suggest(const char *given, const char *const *candidates, size_t count)
{
    size_t len = strlen(given);
    size_t limit = len < 4 ? 1 : (len < 9 ? 2 : len / 3);
    const char *nearest = NULL;

    if (len == 0 || len > SUGGEST_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(candidates[i]);
        size_t distance;

        if (other > SUGGEST_MAX)
            continue;
        distance = edit_distance(given, len, candidates[i], other);
        if (distance <= limit && distance < len) {
            nearest = candidates[i];
            if (distance == 0)
                break;
            limit = distance - 1;
        }
    }
    return nearest;
}
