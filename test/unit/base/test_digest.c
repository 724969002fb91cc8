#include "unit.h"
#include "necoops/base/buf.h"
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"

static void crc_of(const void *data, size_t len, const char *wanted)
{
    assert_string_equal(crc32c_base64(crc32c(0, data, len)).text, wanted);
}

static void crc32c_matches_the_published_vectors(void **state)
{
    unsigned char bytes[32];

    (void)state;
    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    crc_of("", 0, "AAAAAA==");
    crc_of("123456789", 9, "4waSgw==");
    crc_of("hello world", 11, "yZRlqg==");
    memset(bytes, 0, sizeof(bytes));
    crc_of(bytes, sizeof(bytes), "ipE2qg==");
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (unsigned int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
}

/* CRC-64/XZ, whose inversions ISA-L does itself. */
static void crc64_matches_the_published_vector(void **state)
{
    (void)state;
    assert_int_equal(crc64(0, "123456789", 9), 0x995dc9bbdf1939fa);
    assert_int_equal(crc64(crc64(0, "1234", 4), "56789", 5), 0x995dc9bbdf1939fa);
}

static void crc32c_continues_and_combines(void **state)
{
    static unsigned char data[100000];
    static const size_t cuts[] = {0, 1, 7, 4096, 65537, 99999, 100000};
    uint32_t whole;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 31 + i / 251);
    whole = crc32c(0, data, sizeof(data));
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        size_t rest = sizeof(data) - cuts[i];
        uint32_t a = crc32c(0, data, cuts[i]);
        uint32_t b = crc32c(0, data + cuts[i], rest);

        assert_int_equal(crc32c(a, data + cuts[i], rest), whole);
        assert_int_equal(crc32c_combine(a, b, rest), whole);
    }
}

/* Three parts of a size that no memory holds: (A B) C and A (B C) are the same. */
static void combining_is_associative_at_any_length(void **state)
{
    uint32_t a = 0x12345678, b = 0x9abcdef0, c = 0x0f1e2d3c;
    uint64_t len_b = (uint64_t)5 << 40, len_c = ((uint64_t)7 << 33) + 13;

    (void)state;
    assert_int_equal(crc32c_combine(crc32c_combine(a, b, len_b), c, len_c),
                     crc32c_combine(a, crc32c_combine(b, c, len_c), len_b + len_c));
}

static void crc32c_text_is_strict(void **state)
{
    static const char *const texts[] = {
        "",         "4waSgw",   "4waSgw=",  "4waSgw===", " 4waSgw==",
        "4waSgx==", "4waS-w==", "4waSgwA=", "4waS",      "4waSgw==\n"};
    uint32_t crc = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(crc32c_from_base64(texts[i], &crc), -1);
    assert_int_equal(crc, 7);
    assert_int_equal(crc32c_from_base64("4waSgw==", &crc), 0);
    assert_int_equal(crc, 0xe3069283);
}

static void sha256_matches_the_published_vectors(void **state)
{
    (void)state;
    assert_string_equal(sha256("", 0).text,
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(sha256("abc", 3).text,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void sha256_of_a_file_is_that_of_its_bytes(void **state)
{
    autoerr struct err err = ERR_INIT;
    autofree char *dir = NULL;
    autofree char *path = NULL;
    autofree char *data = xcalloc(200000, 1);
    autofree char *wanted = NULL;
    struct sha256_hex hex = {.text = "untouched"};

    (void)state;
    assert_ok(fs_make_temp_dir("/tmp", "digest-", &dir, &err), err);
    path = path_join(dir, "f");
    assert_ok(fs_write(path, data, 200000, 0600, &err), err);
    assert_ok(sha256_file(path, &hex, &err), err);
    assert_string_equal(hex.text, sha256(data, 200000).text);
    unlink(path);
    snprintf(hex.text, sizeof(hex.text), "untouched");
    wanted = xasprintf("cannot open '%s': No such file or directory", path);
    assert_int_equal(sha256_file(path, &hex, &err), -1);
    assert_err(err, ERR_NOT_FOUND, wanted);
    free_charp(&wanted);
    wanted = xasprintf("cannot read '%s': Is a directory", dir);
    assert_int_equal(sha256_file(dir, &hex, &err), -1);
    assert_err(err, ERR_FAILED, wanted);
    assert_string_equal(hex.text, "untouched");
    rmdir(dir);
}

static void random_stays_below_and_reaches_everything(void **state)
{
    unsigned int seen = 0;

    (void)state;
    assert_int_equal(random_below(0), 0);
    assert_int_equal(random_below(1), 0);
    for (int i = 0; i < 2000; i++) {
        uint64_t value = random_below(7);

        assert_true(value < 7);
        seen |= 1u << value;
    }
    assert_int_equal(seen, 0x7f);
    assert_true(random_below(UINT64_MAX) < UINT64_MAX);
}

static void random_bytes_differ(void **state)
{
    unsigned char a[600] = {0};
    unsigned char b[600] = {0};

    (void)state;
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a + 500, b + 500, 100);
}

static void uuids_are_of_version_4(void **state)
{
    struct uuid_text a = uuid_random();
    struct uuid_text b = uuid_random();

    (void)state;
    assert_string_not_equal(a.text, b.text);
    assert_int_equal(strlen(a.text), 36);
    assert_int_equal(strspn(a.text, "0123456789abcdef-"), 36);
    assert_int_equal(a.text[14], '4');
    assert_non_null(strchr("89ab", a.text[19]));
    assert_true(a.text[8] == '-' && a.text[13] == '-' && a.text[18] == '-' && a.text[23] == '-');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_matches_the_published_vectors),
        cmocka_unit_test(crc64_matches_the_published_vector),
        cmocka_unit_test(crc32c_continues_and_combines),
        cmocka_unit_test(combining_is_associative_at_any_length),
        cmocka_unit_test(crc32c_text_is_strict),
        cmocka_unit_test(sha256_matches_the_published_vectors),
        cmocka_unit_test(sha256_of_a_file_is_that_of_its_bytes),
        cmocka_unit_test(random_stays_below_and_reaches_everything),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(uuids_are_of_version_4),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
