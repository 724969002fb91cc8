#include "archive.h"
#include "snapshot/tar.h"

/* What reading one archive came to: a line an entry, and the error. */
static char *read_in_steps(const struct buf *archive, size_t step, struct err *err)
{
    struct queue *queue = queue_of(archive->data, archive->len, step);
    struct reader in;
    reader_init(&in, queue);
    struct tar *tar = tar_new(&in);
    struct tar_entry entry = {0};
    struct buf out = BUF_INIT(BUF_MEDIUM);
    static const char types[] = {'f', 'd', 'l', 'h'};
    while (tar_next(tar, &entry, err) == 1) {
        buf_addf(&out, "%c %s%s%s %o %llu", types[entry.type], entry.path, entry.link ? " -> " : "",
                 entry.link ? entry.link : "", (unsigned)entry.mode,
                 (unsigned long long)entry.size);
        for (size_t i = 0; i < entry.extent_count; i++)
            buf_addf(&out, " %llu+%llu", (unsigned long long)entry.extents[i].offset,
                     (unsigned long long)entry.extents[i].len);
        buf_adds(&out, " [");
        const unsigned char *data;
        size_t len = 0;
        while (tar_data(tar, &data, &len, err) == 0 && len > 0)
            buf_add(&out, data, len);
        buf_adds(&out, "]\n");
    }
    tar_entry_clear(&entry);
    tar_free(tar);
    reader_close(&in);
    queue_free(queue);
    return buf_steal(&out);
}

/* The same whatever the spans: large ones, and such that headers and content lie across two. */
static void assert_reads(const struct buf *archive, const char *wanted)
{
    static const size_t steps[] = {1 << 20, 512, 700, 7};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct err err = ERR_INIT;
        char *text = read_in_steps(archive, steps[i], &err);
        assert_string_equal(err_text(&err), "");
        assert_string_equal(text, wanted);
        free(text);
    }
}

static void assert_refused(struct buf *archive, const char *message)
{
    struct err err = ERR_INIT;
    free(read_in_steps(archive, 1000, &err));
    assert_error(err, ERR_FAILED, message);
    buf_clear(archive);
}

static void test_plain_entries(void **state)
{
    (void)state;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_header(&a, &(struct header){.name = "./", .type = '5', .mode = 0755});
    tar_header(&a, &(struct header){.name = "./dir/", .type = '5', .mode = 0700});
    tar_file(&a, "./dir/file", "hello");
    tar_file(&a, "empty", "");
    tar_header(&a,
               &(struct header){.name = "dir/up", .type = '2', .link = "../empty", .mode = 0777});
    tar_header(&a, &(struct header){.name = "hard", .type = '1', .link = "./dir/file"});
    tar_header(&a, &(struct header){.name = "name", .prefix = "a/long/prefix", .size = 0});
    tar_end(&a);
    assert_reads(&a, "d  755 0 []\n"
                     "d dir 700 0 []\n"
                     "f dir/file 644 5 0+5 [hello]\n"
                     "f empty 644 0 0+0 []\n"
                     "l dir/up -> ../empty 777 0 []\n"
                     "h hard -> dir/file 644 0 []\n"
                     "f a/long/prefix/name 644 0 0+0 []\n");
}

static void test_pax_records(void **state)
{
    (void)state;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    char name[300];
    memset(name, 'n', sizeof(name));
    memcpy(name + 100, "/", 1);
    memcpy(name + 200, "/\xc3\xa9", 3);
    name[299] = '\0';
    autofree char *path = xasprintf("path=%s", name);
    tar_pax(&a, 'g', (const char *const[]){"comment=of git", NULL});
    tar_pax(&a, 'x',
            (const char *const[]){path, "mtime=1700000000.25", "size=3", "uid=5", "other=x", NULL});
    tar_header(&a, &(struct header){.name = "short"});
    tar_content(&a, "abc", 3);
    tar_file(&a, "next", "n");
    tar_end(&a);
    autofree char *wanted = xasprintf("f %s 644 3 0+3 [abc]\nf next 644 1 0+1 [n]\n", name);
    assert_reads(&a, wanted);
}

static void test_gnu_long_names(void **state)
{
    (void)state;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    char name[181];
    memset(name, 'x', 180);
    name[90] = '/';
    name[180] = '\0';
    tar_header(&a,
               &(struct header){.name = "././@LongLink", .type = 'K', .size = 181, .gnu = true});
    tar_content(&a, name, 181);
    tar_header(&a,
               &(struct header){.name = "././@LongLink", .type = 'L', .size = 181, .gnu = true});
    tar_content(&a, name, 181);
    tar_header(&a, &(struct header){.name = "xxx", .type = '2', .link = "xx", .gnu = true});
    tar_end(&a);
    autofree char *wanted = xasprintf("l %s -> %s 644 0 []\n", name, name);
    assert_reads(&a, wanted);
}

static void test_sparse_pax_1_0(void **state)
{
    (void)state;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_pax(&a, 'x',
            (const char *const[]){"GNU.sparse.major=1", "GNU.sparse.minor=0",
                                  "GNU.sparse.name=disk.img", "GNU.sparse.realsize=10000", NULL});
    char content[512 + 5] = "2\n4096\n5\n10000\n0\n";
    memcpy(content + 512, "hello", 5);
    tar_header(&a, &(struct header){.name = "./GNUSparseFile.1/disk.img", .size = sizeof(content)});
    tar_content(&a, content, sizeof(content));
    tar_end(&a);
    assert_reads(&a, "f disk.img 644 10000 4096+5 10000+0 [hello]\n");
}

static void test_sparse_pax_0(void **state)
{
    (void)state;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_pax(&a, 'x',
            (const char *const[]){"GNU.sparse.size=100", "GNU.sparse.numblocks=2",
                                  "GNU.sparse.offset=10", "GNU.sparse.numbytes=2",
                                  "GNU.sparse.offset=90", "GNU.sparse.numbytes=3", NULL});
    tar_header(&a, &(struct header){.name = "zero-zero", .size = 5});
    tar_content(&a, "abcde", 5);
    tar_pax(&a, 'x',
            (const char *const[]){"GNU.sparse.size=50", "GNU.sparse.numblocks=1",
                                  "GNU.sparse.map=4,5", NULL});
    tar_header(&a, &(struct header){.name = "zero-one", .size = 5});
    tar_content(&a, "fghij", 5);
    tar_end(&a);
    assert_reads(&a, "f zero-zero 644 100 10+2 90+3 [abcde]\n"
                     "f zero-one 644 50 4+5 [fghij]\n");
}

/* Rewrites the checksum after the header was changed. */
static void fix_checksum(char *block)
{
    unsigned sum = 0;
    char text[8];
    memset(block + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)block[i];
    snprintf(text, sizeof(text), "%06o", sum);
    memcpy(block + 148, text, 7);
}

static void test_sparse_old_gnu(void **state)
{
    (void)state;
    autobuf struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_header(&a, &(struct header){.name = "old", .type = 'S', .size = 10, .gnu = true});
    for (int i = 0; i < 4; i++) {
        snprintf(a.data + 386 + 24 * i, 12, "%011o", 1000 * i);
        snprintf(a.data + 386 + 24 * i + 12, 12, "%011o", 2);
    }
    a.data[482] = 1;
    snprintf(a.data + 483, 12, "%011o", 9000);
    fix_checksum(a.data);
    char more[512] = {0};
    snprintf(more, 12, "%011o", 8000);
    snprintf(more + 12, 12, "%011o", 2);
    tar_content(&a, more, 512);
    tar_content(&a, "aabbccddee", 10);
    tar_end(&a);
    assert_reads(&a, "f old 644 9000 0+2 1000+2 2000+2 3000+2 8000+2 [aabbccddee]\n");
}

static void test_sparse_maps_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *map;
        const char *message;
    } cases[] = {
        {"GNU.sparse.map=0,4", "entry 's': sparse map covers 4 bytes, the archive has 5 for it"},
        {"GNU.sparse.map=98,5", "entry 's': sparse map does not fit its file"},
        {"GNU.sparse.map=10,3,12,2", "entry 's': sparse map does not fit its file"},
        {"GNU.sparse.map=0,9223372036854775807,9223372036854775807,5",
         "entry 's': sparse map does not fit its file"},
        {"GNU.sparse.map=0", "pax record 'GNU.sparse.map' is malformed"},
        {"GNU.sparse.map=0,5,", "pax record 'GNU.sparse.map' is malformed"},
        {"GNU.sparse.map=-1,5", "pax record 'GNU.sparse.map' is malformed"},
        {"GNU.sparse.numbytes=5", "pax record 'GNU.sparse.numbytes' without an offset"},
        {"GNU.sparse.offset=5", "pax record 'GNU.sparse.offset' without a length"},
        {"GNU.sparse.offset=99999999999999999999", "pax record 'GNU.sparse.offset' is no number"},
        {"GNU.sparse.major=2", "sparse format 2 is not supported"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf a = BUF_INIT(BUF_MEDIUM);
        tar_pax(&a, 'x', (const char *const[]){"GNU.sparse.size=100", cases[i].map, NULL});
        tar_header(&a, &(struct header){.name = "s", .size = 5});
        tar_content(&a, "abcde", 5);
        tar_end(&a);
        assert_refused(&a, cases[i].message);
    }
}

static void test_sparse_map_longer_than_file(void **state)
{
    (void)state;
    struct buf a = BUF_INIT(BUF_MEDIUM);
    char content[512];
    memset(content, '1', sizeof(content));
    memcpy(content, "1000000\n", 8);
    for (int i = 9; i < 512; i += 2)
        content[i] = '\n';
    tar_pax(&a, 'x',
            (const char *const[]){"GNU.sparse.major=1", "GNU.sparse.minor=0",
                                  "GNU.sparse.realsize=10000", NULL});
    tar_header(&a, &(struct header){.name = "s", .size = sizeof(content)});
    tar_content(&a, content, sizeof(content));
    tar_end(&a);
    assert_refused(&a, "entry 's': sparse map is longer than its file");
}

static void refuse_entry(const struct header *header, const char *message)
{
    struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_header(&a, header);
    tar_end(&a);
    assert_refused(&a, message);
}

static void test_hostile_entries(void **state)
{
    (void)state;
    refuse_entry(&(struct header){.name = "/etc/passwd"}, "entry '/etc/passwd': path is absolute");
    refuse_entry(&(struct header){.name = "a/../../b"},
                 "entry 'a/../../b': path leaves the destination with '..'");
    refuse_entry(&(struct header){.name = ".."},
                 "entry '..': path leaves the destination with '..'");
    refuse_entry(&(struct header){.name = "x", .prefix = "/root"},
                 "entry '/root/x': path is absolute");
    refuse_entry(&(struct header){.name = "a\x1b[2J"},
                 "entry 'a\\x1b[2J': name has a control character in it");
    refuse_entry(&(struct header){.name = "a\nb"},
                 "entry 'a\\x0ab': name has a control character in it");
    refuse_entry(&(struct header){.name = "a\xc2\x9b"},
                 "entry 'a\\u009b': name has a control character in it");
    refuse_entry(&(struct header){.name = "a\xff"}, "entry 'a\\xff': name is not UTF-8");
    refuse_entry(&(struct header){.name = "dev", .type = '3'},
                 "entry 'dev': devices are not taken from an archive");
    refuse_entry(&(struct header){.name = "dev", .type = '4'},
                 "entry 'dev': devices are not taken from an archive");
    refuse_entry(&(struct header){.name = "fifo", .type = '6'},
                 "entry 'fifo': FIFOs are not taken from an archive");
    refuse_entry(&(struct header){.name = "v", .type = 'V'},
                 "entry 'v': entry type 0x56 is not supported");
    refuse_entry(&(struct header){.name = "su", .mode = 04755},
                 "entry 'su': setuid and setgid bits are not taken from an archive");
    refuse_entry(&(struct header){.name = "d", .type = '5', .mode = 02755},
                 "entry 'd': setuid and setgid bits are not taken from an archive");
    refuse_entry(&(struct header){.name = "d", .type = '5', .size = 512},
                 "entry 'd': entry that is no file has content");
}

static void test_hostile_links(void **state)
{
    (void)state;
    refuse_entry(&(struct header){.name = "l", .type = '2', .link = "/etc"},
                 "entry 'l': link leads to an absolute path");
    refuse_entry(&(struct header){.name = "l", .type = '2', .link = ".."},
                 "entry 'l': link leads out of the destination");
    refuse_entry(&(struct header){.name = "a/l", .type = '2', .link = "../../x"},
                 "entry 'a/l': link leads out of the destination");
    refuse_entry(&(struct header){.name = "a/b/l", .type = '2', .link = "x/../../y"},
                 "entry 'a/b/l': link leads out of the destination");
    refuse_entry(&(struct header){.name = "l", .type = '2', .link = ""},
                 "entry 'l': link without a target");
    refuse_entry(&(struct header){.name = "l", .type = '2', .link = "a\r"},
                 "entry 'l': name has a control character in it");
    refuse_entry(&(struct header){.name = "h", .type = '1', .link = "/etc/shadow"},
                 "entry 'h': path is absolute");
    refuse_entry(&(struct header){.name = "h", .type = '1', .link = "../x"},
                 "entry 'h': path leaves the destination with '..'");
    refuse_entry(&(struct header){.name = "h", .type = '1', .link = "x", .size = 5},
                 "entry 'h': entry that is no file has content");
}

static void test_pax_headers_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"5 a=b\n", "pax header is malformed"},
        {"99 path=x\n", "pax header is malformed"},
        {"0 path=x\n", "pax header is malformed"},
        {"99999999999999999999999 path=x\n", "pax header is malformed"},
        {"7 path\n", "pax header is malformed"},
        {"8 =abcd\n", "pax header is malformed"},
        {"path=x\n", "pax header is malformed"},
        {"12 size=-5x\n", "pax record 'size' is no number"},
        {"14 mtime=soon\n", "pax record 'mtime' is no time"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf a = BUF_INIT(BUF_MEDIUM);
        tar_header(&a, &(struct header){.name = "p", .type = 'x', .size = strlen(cases[i].text)});
        tar_content(&a, cases[i].text, strlen(cases[i].text));
        tar_file(&a, "f", "x");
        tar_end(&a);
        assert_refused(&a, cases[i].message);
    }
    struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_pax(&a, 'g', (const char *const[]){"path=x", NULL});
    assert_refused(&a, "global pax header sets 'path' of every entry");
    tar_pax(&a, 'x', (const char *const[]){"SCHILY.xattr.security.capability=x", NULL});
    assert_refused(&a, "file capabilities are not taken from an archive");
}

static void test_ends(void **state)
{
    (void)state;
    struct buf a = BUF_INIT(BUF_MEDIUM);
    tar_file(&a, "f", "hello");
    assert_refused(&a, "archive is truncated"); /* no end */
    tar_file(&a, "f", "hello");
    buf_add(&a, (const char[512]){0}, 512);
    assert_refused(&a, "archive is truncated"); /* half an end */
    tar_header(&a, &(struct header){.name = "f", .size = 100000});
    tar_content(&a, "hello", 5);
    assert_refused(&a, "archive is truncated"); /* a size that lies */
    tar_file(&a, "f", "hello");
    tar_end(&a);
    buf_adds(&a, "tail");
    assert_refused(&a, "garbage after the end of the archive");
    tar_end(&a);
    tar_file(&a, "f", "hello");
    tar_end(&a);
    assert_refused(&a, "garbage after the end of the archive");
    buf_adds(&a, "no archive at all, but long enough for a block: ");
    while (a.len < 600)
        buf_adds(&a, "and so on, ");
    assert_refused(&a, "it is no tar archive");
    tar_file(&a, "f", "hello");
    tar_file(&a, "g", "hello");
    tar_end(&a);
    a.data[1024] = 'h';
    assert_refused(&a, "archive is corrupt: the header at byte 1024 is none");
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_true(tar_number((const unsigned char *)"0000644", 8, &value));
    assert_int_equal(value, 0644);
    assert_true(tar_number((const unsigned char *)"   644 ", 8, &value));
    assert_int_equal(value, 0644);
    assert_true(tar_number((const unsigned char *)"77777777777", 12, &value));
    assert_int_equal(value, 077777777777ULL);
    assert_false(tar_number((const unsigned char *)"0000648", 8, &value));
    assert_false(tar_number((const unsigned char *)"12x4567", 8, &value));
    assert_true(tar_number((const unsigned char *)"\x80\0\0\0\0\0\0\2\0\0\0\1", 12, &value));
    assert_int_equal(value, 0x200000001ULL);
    assert_false(tar_number((const unsigned char *)"\xff\xff\xff\xff\xff\xff\xff\xff", 8, &value));
    assert_false(
        tar_number((const unsigned char *)"\x80\1\0\0\0\0\0\0\0\0\0\0", 12, &value)); /* 2^80 */
}

static void test_paths(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    autofree char *path = NULL;
    assert_good(tar_clean_path(".//a/./b//c/", &path, &err), err);
    assert_string_equal(path, "a/b/c");
    char deep[4000] = "";
    for (size_t i = 0; i < 202; i += 2)
        memcpy(deep + i, "d/", 3);
    free(steal(path));
    assert_int_equal(tar_clean_path(deep, &path, &err), -1);
    assert_error(err, ERR_FAILED, "path has more than 100 folders");
    memset(deep, 'n', 256);
    deep[256] = '\0';
    assert_int_equal(tar_clean_path(deep, &path, &err), -1);
    assert_error(err, ERR_FAILED, "name is longer than 255 bytes");
    assert_int_equal(tar_clean_path("", &path, &err), -1);
    assert_error(err, ERR_FAILED, "name is empty");
    assert_null(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_entries),
        cmocka_unit_test(test_pax_records),
        cmocka_unit_test(test_gnu_long_names),
        cmocka_unit_test(test_sparse_pax_1_0),
        cmocka_unit_test(test_sparse_pax_0),
        cmocka_unit_test(test_sparse_old_gnu),
        cmocka_unit_test(test_sparse_maps_that_lie),
        cmocka_unit_test(test_sparse_map_longer_than_file),
        cmocka_unit_test(test_hostile_entries),
        cmocka_unit_test(test_hostile_links),
        cmocka_unit_test(test_pax_headers_that_lie),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
