/* The grammar of JSON (RFC 8259), strictly: cJSON, which builds the tree afterwards, lets through
 * control characters, "01", lone surrogates and "\u0000", and says no more than where it stopped.
 */
#include "base/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/json.h"

/* Digits that cJSON prints back as they were read (it prints 15, and its check whether that was
 * enough is off by one bit). */
#define EXACT_DIGITS 15

static int scan_value(struct json_scan *scan);

/* ---- errors ---- */

static int fail(const struct json_scan *scan, const char *what)
{
    size_t line = 1;
    size_t column = 1;

    for (size_t i = 0; i < scan->pos; i++) {
        if (scan->text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)scan->text[i] & 0xc0) != 0x80) {
            column++; /* counts characters, not their further bytes */
        }
    }
    return err_set(scan->err, ERR_PROTOCOL, "%s:%zu:%zu: %s", scan->name, line, column, what);
}

static int expected(const struct json_scan *scan, const char *what)
{
    autofree char *text = NULL;

    if (scan->pos < scan->len && scan->text[scan->pos] == '\0')
        return fail(scan, "NUL byte");
    text = xasprintf("%s, expected %s", scan->pos == scan->len ? "unexpected end" : "syntax error",
                     what);
    return fail(scan, text);
}

/* ---- what lies at the position ---- */

/* '\0' at the end as well; expected() tells the two apart. */
static char peek(const struct json_scan *scan)
{
    return scan->pos < scan->len ? scan->text[scan->pos] : '\0';
}

static bool take(struct json_scan *scan, char c)
{
    if (scan->pos == scan->len || scan->text[scan->pos] != c)
        return false;
    scan->pos++;
    return true;
}

static bool take_word(struct json_scan *scan, const char *word)
{
    size_t len = strlen(word);

    if (scan->len - scan->pos < len || memcmp(scan->text + scan->pos, word, len) != 0)
        return false;
    scan->pos += len;
    return true;
}

static void skip_space(struct json_scan *scan)
{
    while (scan->pos < scan->len && memchr(" \t\r\n", scan->text[scan->pos], 4) != NULL)
        scan->pos++;
}

/* ---- strings ---- */

/* Four hexadecimal digits, or -1. */
static int hex4(const struct json_scan *scan, size_t at)
{
    int value = 0;

    if (scan->len < 4 || at > scan->len - 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        char c = scan->text[i];
        const char *digits = "0123456789abcdef";
        const char *digit = memchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c, 16);

        if (digit == NULL)
            return -1;
        value = value << 4 | (int)(digit - digits);
    }
    return value;
}

/* At the 'u' of an escape. */
static int scan_unicode_escape(struct json_scan *scan)
{
    int code = hex4(scan, scan->pos + 1);
    int low;

    if (code < 0)
        return fail(scan, "invalid escape");
    if (code == 0)
        return fail(scan, "NUL in a string");
    scan->pos += 5;
    if (code < 0xd800 || code > 0xdfff)
        return 0;
    low = code < 0xdc00 && take_word(scan, "\\u") ? hex4(scan, scan->pos) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(scan, "half of a surrogate pair");
    scan->pos += 4;
    return 0;
}

static int scan_string(struct json_scan *scan)
{
    uint32_t code;

    scan->pos++;
    while (scan->pos < scan->len) {
        size_t used = utf8_next(scan->text + scan->pos, scan->len - scan->pos, &code);

        if (used == 0)
            return fail(scan, "invalid UTF-8");
        if (code == 0)
            return fail(scan, "NUL byte");
        if (code < 0x20)
            return fail(scan, "control character in a string");
        if (code == '\\') {
            scan->pos++;
            if (peek(scan) == 'u') {
                if (scan_unicode_escape(scan) < 0)
                    return -1;
                continue;
            }
            if (peek(scan) == '\0' || strchr("\"\\/bfnrt", peek(scan)) == NULL)
                return fail(scan, "invalid escape");
        }
        scan->pos += used;
        if (code == '"')
            return 0;
    }
    return fail(scan, "unexpected end within a string");
}

/* ---- numbers ---- */

/* Takes digits; tells how many there are from the first that is not 0 on. */
static bool take_digits(struct json_scan *scan, size_t *significant)
{
    size_t start = scan->pos;

    for (; peek(scan) >= '0' && peek(scan) <= '9'; scan->pos++) {
        if (*significant > 0 || peek(scan) != '0')
            (*significant)++;
    }
    return scan->pos > start;
}

/* Takes a number; NULL, or what was expected where it stopped. */
static const char *take_number(struct json_scan *scan, size_t *significant, bool *has_exponent)
{
    size_t of_exponent = 0;

    *significant = 0;
    *has_exponent = false;
    (void)take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan, significant))
        return "a value";
    if (take(scan, '.') && !take_digits(scan, significant))
        return "a digit";
    if (!take(scan, 'e') && !take(scan, 'E'))
        return NULL;
    *has_exponent = true;
    if (!take(scan, '+'))
        (void)take(scan, '-');
    return take_digits(scan, &of_exponent) ? NULL : "a digit";
}

/* A double keeps a number of few digits, unless its exponent leaves the range. */
static bool number_fits(const char *text, size_t len, size_t significant, bool has_exponent)
{
    autofree char *copy = NULL;
    double value;

    if (significant > EXACT_DIGITS || len > 60)
        return false; /* cJSON stops reading a number after 63 characters */
    if (!has_exponent || significant == 0)
        return true;
    copy = xstrndup(text, len);
    value = strtod(copy, NULL);
    return isnormal(value);
}

static int scan_number(struct json_scan *scan)
{
    size_t start = scan->pos;
    size_t significant;
    bool has_exponent;
    const char *missing = take_number(scan, &significant, &has_exponent);

    if (missing != NULL)
        return expected(scan, missing);
    if (!number_fits(scan->text + start, scan->pos - start, significant, has_exponent)) {
        if (scan->longs_len == scan->longs_size) {
            scan->longs_size = scan->longs_size > 0 ? scan->longs_size * 2 : 16;
            scan->longs = xrealloc(scan->longs, scan->longs_size * sizeof(*scan->longs));
        }
        scan->longs[scan->longs_len++] =
            (struct json_long_number){scan->numbers, start, scan->pos - start};
    }
    scan->numbers++;
    return 0;
}

bool json_scan_number_text(const char *text, bool *fits_double)
{
    struct json_scan scan = {.text = text, .len = strlen(text)};
    size_t significant;
    bool has_exponent;

    if (take_number(&scan, &significant, &has_exponent) != NULL || scan.pos != scan.len)
        return false;
    *fits_double = number_fits(text, scan.len, significant, has_exponent);
    return true;
}

/* ---- objects, arrays ---- */

static int scan_member(struct json_scan *scan)
{
    if (peek(scan) != '"')
        return expected(scan, "a key");
    if (scan_string(scan) < 0)
        return -1;
    skip_space(scan);
    if (!take(scan, ':'))
        return expected(scan, "':'");
    return scan_value(scan);
}

/* From the opening bracket on. */
static int scan_container(struct json_scan *scan, char end, int (*scan_item)(struct json_scan *))
{
    if (scan->depth == JSON_MAX_DEPTH)
        return fail(scan, "nested too deeply");
    scan->depth++;
    scan->pos++;
    skip_space(scan);
    if (!take(scan, end)) {
        do {
            skip_space(scan);
            if (scan_item(scan) < 0)
                return -1;
            skip_space(scan);
        } while (take(scan, ','));
        if (!take(scan, end))
            return expected(scan, end == '}' ? "',' or '}'" : "',' or ']'");
    }
    scan->depth--;
    return 0;
}

static int scan_value(struct json_scan *scan)
{
    skip_space(scan);
    switch (peek(scan)) {
    case '{':
        return scan_container(scan, '}', scan_member);
    case '[':
        return scan_container(scan, ']', scan_value);
    case '"':
        return scan_string(scan);
    case 't':
        return take_word(scan, "true") ? 0 : expected(scan, "a value");
    case 'f':
        return take_word(scan, "false") ? 0 : expected(scan, "a value");
    case 'n':
        return take_word(scan, "null") ? 0 : expected(scan, "a value");
    default:
        return scan_number(scan);
    }
}

int json_scan_text(struct json_scan *scan)
{
    (void)take_word(scan, "\xef\xbb\xbf"); /* a byte order mark may be ignored, cJSON does */
    if (scan_value(scan) < 0)
        return -1;
    skip_space(scan);
    if (scan->pos != scan->len)
        return expected(scan, "the end");
    return 0;
}
