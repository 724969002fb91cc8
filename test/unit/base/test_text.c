#include "unit.h"
#include "necoops/base/text.h"

static void starts_and_ends(void **state)
{
    (void)state;
    assert_true(text_starts("abc", "ab"));
    assert_true(text_starts("abc", ""));
    assert_false(text_starts("ab", "abc"));
    assert_true(text_ends("abc", "bc"));
    assert_true(text_ends("abc", ""));
    assert_false(text_ends("bc", "abc"));
}

static void copy_always_terminates(void **state)
{
    char to[4];

    (void)state;
    assert_true(text_copy(to, sizeof(to), "abc"));
    assert_string_equal(to, "abc");
    assert_false(text_copy(to, sizeof(to), "wxyz"));
    assert_string_equal(to, "wxy");
    assert_true(text_copy(to, sizeof(to), ""));
    assert_string_equal(to, "");
}

static void percent_encoding(void **state)
{
    (void)state;
    assert_text(url_encode("aZ09-._~"), "aZ09-._~");
    assert_text(url_encode("a/b c+ä%"), "a%2Fb%20c%2B%C3%A4%25");
    assert_text(url_encode(""), "");
    assert_text(url_decode("a%2Fb%20c+%c3%A4", 16), "a/b c+ä");
    assert_text(url_decode("abc", 2), "ab");
    assert_null(url_decode("%", 1));
    assert_null(url_decode("%2", 2));
    assert_null(url_decode("%2F", 2)); /* the length counts, not what lies behind it */
    assert_null(url_decode("%zz", 3));
    assert_null(url_decode("a%00b", 5));
    assert_null(url_decode("a\0b", 3));
}

static void is_split(const char *url, const char *scheme, const char *host, int port,
                     const char *path)
{
    struct url_parts parts;

    if (!url_split(url, &parts))
        fail_msg("'%s' was refused", url);
    assert_string_equal(parts.scheme, scheme);
    assert_string_equal(parts.host, host);
    assert_int_equal(parts.port, port);
    assert_string_equal(parts.path, path);
}

static void urls_are_split(void **state)
{
    (void)state;
    is_split("https://example.com", "https", "example.com", 443, "");
    is_split("HTTP://localhost/", "http", "localhost", 80, "/");
    is_split("http://127.0.0.1:8080/a/b?c=d:e@f", "http", "127.0.0.1", 8080, "/a/b?c=d:e@f");
    is_split("https://[::1]:6443/api", "https", "::1", 6443, "/api");
    is_split("https://[fe80::1]", "https", "fe80::1", 443, "");
    is_split("https://h:65535", "https", "h", 65535, "");
}

static void bad_urls_are_refused(void **state)
{
    static const char *const urls[] = {
        "",
        "example.com",
        "ftp://h/",
        "https:/h",
        "https://",
        "https:///p",
        "https://h:",
        "https://h:0/",
        "https://h:65536/",
        "https://h:80x/",
        "https://:1",
        "https://u@h/",
        "https://u:p@h/",
        "https://h?q",
        "https://h#f",
        "https://[::1",
        "https://[::1]x/",
        "https://h\r\nx/",
        "https://h/a b",
        "https://h/a\nb",
        "https://[]/",
        "https://h:1234567",
        "https://h\\x/",
        "https://h:-1/",
    };
    struct url_parts parts = {.port = 77};
    char url[400] = "https://";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        if (url_split(urls[i], &parts))
            fail_msg("'%s' was taken", urls[i]);
    }
    memset(url + 8, 'a', 256); /* one more than fits */
    assert_false(url_split(url, &parts));
    assert_int_equal(parts.port, 77);
    url[8 + 255] = '\0';
    assert_true(url_split(url, &parts));
}

static void loopback(void **state)
{
    (void)state;
    assert_true(host_is_loopback("localhost"));
    assert_true(host_is_loopback("LocalHost"));
    assert_true(host_is_loopback("127.0.0.1"));
    assert_true(host_is_loopback("127.255.0.9"));
    assert_true(host_is_loopback("::1"));
    assert_true(host_is_loopback("0:0:0:0:0:0:0:1"));
    assert_false(host_is_loopback("128.0.0.1"));
    assert_false(host_is_loopback("127.0.0.1.example.com"));
    assert_false(host_is_loopback("localhost.example.com"));
    assert_false(host_is_loopback("0.0.0.0"));
    assert_false(host_is_loopback("::2"));
    assert_false(host_is_loopback(""));
}

static void base64_is_written(void **state)
{
    static const unsigned char bytes[] = {0xfb, 0xff, 0xfe};

    (void)state;
    assert_text(base64_encode("", 0), "");
    assert_text(base64_encode("f", 1), "Zg==");
    assert_text(base64_encode("fo", 2), "Zm8=");
    assert_text(base64_encode("foo", 3), "Zm9v");
    assert_text(base64_encode("foob", 4), "Zm9vYg==");
    assert_text(base64_encode(bytes, 3), "+//+");
    assert_text(base64url_encode(bytes, 3), "-__-");
    assert_text(base64url_encode("f", 1), "Zg");
    assert_text(base64url_encode("fo", 2), "Zm8");
}

static void is_decoded(const char *text, const char *wanted)
{
    autobuf struct buf out = BUF_INIT(64);

    assert_int_equal(base64_decode(text, strlen(text), &out), 0);
    assert_string_equal(out.data, wanted);
}

static void base64_is_read_in_every_form(void **state)
{
    autobuf struct buf out = BUF_INIT(64);

    (void)state;
    is_decoded("", "");
    is_decoded("Zg==", "f");
    is_decoded("Zg", "f");
    is_decoded("Zm8=", "fo");
    is_decoded("Zm8", "fo");
    is_decoded("Zm9v", "foo");
    is_decoded(" Zm9v\r\nYmFy\t", "foobar");
    assert_int_equal(base64_decode("+//+-__-", 8, &out), 0);
    assert_memory_equal(out.data, "\xfb\xff\xfe\xfb\xff\xfe", 7);
}

static void malformed_base64_leaves_the_output_alone(void **state)
{
    static const char *const texts[] = {"Z",        "Zm9vY",  "Z===", "Zg=",  "Zg===",   "Zm9v=",
                                        "Zm9v====", "Zg==Zg", "=",    "Z*==", "Zm9\x80", "Zm8=="};
    autobuf struct buf out = BUF_INIT(6);

    (void)state;
    assert_int_equal(buf_adds(&out, "abc"), 0);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (base64_decode(texts[i], strlen(texts[i]), &out) != -1)
            fail_msg("'%s' was taken", texts[i]);
        assert_string_equal(out.data, "abc");
    }
    assert_int_equal(base64_decode("Zm9vYg==", 8, &out), -1); /* four bytes, room for three */
    assert_string_equal(out.data, "abc");
    assert_true(out.overflowed);
}

static void every_byte_comes_back(void **state)
{
    unsigned char bytes[256];

    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    for (size_t len = 0; len <= 256; len++) {
        autobuf struct buf out = BUF_INIT(256);
        autofree char *padded = base64_encode(bytes, len);
        autofree char *bare = base64url_encode(bytes, len);

        assert_int_equal(base64_decode(padded, strlen(padded), &out), 0);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, bytes, len);
        buf_reset(&out);
        assert_int_equal(base64_decode(bare, strlen(bare), &out), 0);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, bytes, len);
    }
}

static void hex(void **state)
{
    (void)state;
    assert_text(hex_encode("\x00\x7f\xff", 3), "007fff");
    assert_text(hex_encode("", 0), "");
}

static void globs(void **state)
{
    (void)state;
    assert_true(glob_match("", ""));
    assert_true(glob_match("*", ""));
    assert_true(glob_match("a*c", "abbbc"));
    assert_true(glob_match("a*c", "ac"));
    assert_true(glob_match("*.yaml", "a/b.yaml"));
    assert_true(glob_match("a?c", "abc"));
    assert_true(glob_match("*a*b*", "xxaxxbxx"));
    assert_true(glob_match("*ab", "aab"));
    assert_true(glob_match("**", "x"));
    assert_false(glob_match("a?c", "ac"));
    assert_false(glob_match("abc", "abcd"));
    assert_false(glob_match("abcd", "abc"));
    assert_false(glob_match("a*c", "abcd"));
    assert_false(glob_match("", "a"));
    assert_false(glob_match("?", ""));
}

static void a_hostile_glob_ends_soon(void **state)
{
    char text[4096];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

static void suggestions(void **state)
{
    static const char *const names[] = {"follow",  "force",      "output",
                                        "timeout", "kubeconfig", "zone"};
    size_t count = ARRAY_LEN(names);
    char longest[200];

    (void)state;
    assert_string_equal(text_suggest("folow", names, count), "follow");
    assert_string_equal(text_suggest("foo", (const char *const[]){"fo"}, 1), "fo");
    assert_string_equal(text_suggest("ouptut", names, count), "output"); /* a swap is one step */
    assert_string_equal(text_suggest("OUTPUT", names, count), "output");
    assert_string_equal(text_suggest("kubeconf", names, count), "kubeconfig");
    assert_string_equal(text_suggest("tiemout", names, count), "timeout");
    assert_null(text_suggest("xyz", names, count));
    assert_null(text_suggest("a", names, count));
    assert_null(text_suggest("", names, count));
    assert_null(text_suggest("fast", names, count));
    assert_null(text_suggest("follow", NULL, 0));
    memset(longest, 'f', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_null(text_suggest(longest, names, count));
    assert_null(text_suggest("follow", (const char *const[]){longest}, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_and_ends),
        cmocka_unit_test(copy_always_terminates),
        cmocka_unit_test(percent_encoding),
        cmocka_unit_test(urls_are_split),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(loopback),
        cmocka_unit_test(base64_is_written),
        cmocka_unit_test(base64_is_read_in_every_form),
        cmocka_unit_test(malformed_base64_leaves_the_output_alone),
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(hex),
        cmocka_unit_test(globs),
        cmocka_unit_test(a_hostile_glob_ends_soon),
        cmocka_unit_test(suggestions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
