#include "folder.h"
#include <dirent.h>
#include "necoops/base/digest.h"
#include "snapshot/journal.h"
#include "snapshot/tree.h"

static cJSON *head_of(const char *name)
{
    cJSON *head = json_object();
    json_set_str(head, "is", "head");
    json_set_str(head, "name", name);
    return head;
}

static struct journal *resume(const struct folder *folder, const char *name,
                              struct journal_past *past)
{
    autojson cJSON *head = head_of(name);
    *past = (struct journal_past){0};
    return journal_resume(folder->fd, head, past);
}

static void test_parts(void **state)
{
    struct folder *folder = *state;
    autojson cJSON *head = head_of("o");
    struct journal_past past;
    struct journal *journal = journal_new(folder->fd, head);
    journal_part(journal, 3, 0xffffffff);
    journal_part(journal, 1, 5);
    journal_free(journal);
    assert_null(resume(folder, "other", &past));
    journal = resume(folder, "o", &past);
    assert_non_null(journal);
    assert_int_equal(past.part_count, 2);
    assert_int_equal(past.parts[0].index, 3);
    assert_int_equal(past.parts[0].crc, 0xffffffff);
    assert_int_equal(past.parts[1].index, 1);
    journal_part(journal, 7, 9); /* goes on with the same file */
    journal_free(journal);
    journal_past_clear(&past);
    journal = resume(folder, "o", &past);
    assert_int_equal(past.part_count, 3);
    assert_int_equal(past.parts[2].index, 7);
    journal_free(journal);
    journal_past_clear(&past);
}

/* Killed while it wrote a line: that one is not there, and what follows begins a new line. */
static void test_line_that_is_cut_off(void **state)
{
    struct folder *folder = *state;
    struct journal_past past;
    folder_write(
        folder, "journal",
        "{\"is\":\"head\",\"name\":\"o\"}\n{\"is\":\"part\",\"index\":1,\"crc\":2}\n{\"is\":"
        "\"part\",\"ind");
    struct journal *journal = resume(folder, "o", &past);
    assert_int_equal(past.part_count, 1);
    journal_part(journal, 2, 3);
    journal_free(journal);
    journal_past_clear(&past);
    autofree char *text = folder_read(folder, "journal");
    assert_string_equal(text, "{\"is\":\"head\",\"name\":\"o\"}\n{\"is\":\"part\",\"index\":1,"
                              "\"crc\":2}\n{\"is\":\"part\",\"index\":2,\"crc\":3}\n");
}

static void test_journals_that_make_no_sense(void **state)
{
    struct folder *folder = *state;
    static const char *const texts[] = {
        "",
        "no JSON\n",
        "{\"is\":\"head\",\"name\":\"o\"}", /* no end of line */
        "{\"is\":\"head\",\"name\":\"o\"}\n{\"is\":\"thing\"}\n",
        "{\"is\":\"head\",\"name\":\"o\"}\n{\"is\":\"part\",\"index\":-1,\"crc\":2}\n",
        "{\"is\":\"head\",\"name\":\"o\"}\n{\"is\":\"part\",\"index\":1,\"crc\":4294967296}\n",
        "{\"is\":\"head\",\"name\":\"o\"}\n{\"is\":\"place\",\"format\":\"n\"}\n",
        "{\"is\":\"head\",\"name\":\"o\"}\n{\"is\":\"dir\",\"path\":\"x\"}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct journal_past past;
        folder_write(folder, "journal", texts[i]);
        assert_null(resume(folder, "o", &past));
        assert_int_equal(past.part_count, 0);
    }
}

/* ---- an archive whose unpacking is cut off ---- */

#define STEP 100000

static void noise(char *data, size_t len, uint32_t state)
{
    for (size_t i = 0; i < len; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (char)(state >> 24);
    }
}

static void build_archive(struct buf *a)
{
    autofree char *data = xmalloc(3 << 20);
    noise(data, 3 << 20, 1);
    tar_header(a, &(struct header){.name = "dir/", .type = '5', .mode = 0750});
    tar_file(a, "dir/first", "hello");
    tar_header(a, &(struct header){.name = "dir/big", .size = 3 << 20});
    tar_content(a, data, 3 << 20);
    tar_header(a, &(struct header){.name = "hard", .type = '1', .link = "dir/first"});
    tar_pax(a, 'x',
            (const char *const[]){"GNU.sparse.size=9000000", "GNU.sparse.numblocks=2",
                                  "GNU.sparse.map=4096,1000000,8000000,500000", NULL});
    tar_header(a, &(struct header){.name = "sparse", .size = 1500000});
    tar_content(a, data, 1500000);
    tar_header(a, &(struct header){.name = "late/", .type = '5', .mode = 0700});
    tar_file(a, "late/last", "bye");
    tar_end(a);
}

static void abort_queue(void *queue, uint64_t cookie)
{
    (void)cookie;
    queue_abort(queue);
}

/* The archive from `start` on, in spans with marks; cut off, as by a kill, once what lies before
 * `stop` was read. */
static struct queue *marked_queue(const struct buf *a, size_t start, size_t stop)
{
    struct queue *queue = queue_new(a->len / STEP + 2);
    for (size_t at = start; at < stop && at < a->len; at += STEP) {
        size_t piece = a->len - at < STEP ? a->len - at : STEP;
        struct mark mark = {.format = 'n', .offset = at, .crc = crc32c(0, a->data, at)};
        bool last = at + STEP >= stop && stop < a->len;
        queue_put(queue, (struct span){.data = (unsigned char *)a->data + at,
                                       .len = piece,
                                       .mark = mark,
                                       .release = last ? abort_queue : NULL,
                                       .arg = queue});
    }
    if (stop >= a->len)
        queue_end(queue);
    return queue;
}

/* One run: takes over what is there, unpacks up to `stop`. The offset it began at. */
static size_t run_once(const struct folder *folder, int tree_fd, const struct buf *a, size_t stop,
                       struct unpack_stats *stats, int *result)
{
    struct journal_past past;
    struct err err = ERR_INIT;
    struct journal *journal = resume(folder, "o", &past);
    struct unpack_job job = {.tree_fd = tree_fd, .stats = stats};
    size_t start = 0;
    if (journal && past.has_place) {
        assert_good(tree_prune(tree_fd, &past.names, &err), err);
        job.from = &past.place;
        job.dirs = past.dirs;
        job.dir_count = past.dir_count;
        start = past.place.mark.offset;
        assert_int_equal(past.place.mark.crc, crc32c(0, a->data, start));
    } else {
        struct strv none = STRV_INIT;
        autojson cJSON *head = head_of("o");
        journal_free(journal);
        journal = journal_new(folder->fd, head);
        assert_good(tree_prune(tree_fd, &none, &err), err);
    }
    job.journal = journal;
    struct queue *queue = marked_queue(a, start, stop);
    struct reader in;
    reader_init(&in, queue);
    *result = unpack(&in, &job, &err);
    reader_close(&in);
    queue_free(queue);
    journal_free(journal);
    journal_past_clear(&past);
    err_clear(&err);
    return start;
}

static void assert_same(const struct folder *folder, const char *name, const void *data, size_t len)
{
    autofree char *path = xasprintf("%s/tree/%s", folder->path, name);
    autobuf struct buf back = BUF_INIT(BUF_LARGE);
    struct err err = ERR_INIT;
    assert_good(fs_read(path, &back, &err), err);
    assert_int_equal(back.len, len);
    assert_memory_equal(back.data, data, len);
}

static void assert_unpacked(const struct folder *folder)
{
    autofree char *data = xmalloc(3 << 20);
    autofree char *sparse = xcalloc(1, 9000000);
    struct stat st;
    noise(data, 3 << 20, 1);
    assert_same(folder, "dir/big", data, 3 << 20);
    assert_same(folder, "dir/first", "hello", 5);
    assert_same(folder, "hard", "hello", 5);
    memcpy(sparse + 4096, data, 1000000);
    memcpy(sparse + 8000000, data + 1000000, 500000);
    assert_same(folder, "sparse", sparse, 9000000);
    assert_same(folder, "late/last", "bye", 3);
    assert_int_equal(fstatat(folder->fd, "tree/dir", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    assert_int_equal(st.st_mtime, 1700000000);
    assert_int_equal(fstatat(folder->fd, "tree/sparse", &st, 0), 0);
    assert_int_equal(st.st_mtime, 1700000000);
    assert_true(st.st_blocks * 512 < 1600000);
}

static void test_cut_off_anywhere(void **state)
{
    struct folder *folder = *state;
    autobuf struct buf a = BUF_INIT(BUF_LARGE);
    build_archive(&a);
    size_t resumed = 0;
    for (size_t stop = STEP; stop < a.len; stop += 3 * STEP) {
        struct unpack_stats stats = {0};
        int result = 0;
        assert_int_equal(mkdirat(folder->fd, "tree", 0755), 0);
        autoclose int tree = openat(folder->fd, "tree", O_RDONLY | O_DIRECTORY);
        run_once(folder, tree, &a, stop, &stats, &result);
        assert_int_equal(result, -1);
        run_once(folder, tree, &a, stop + STEP, &stats, &result); /* cut off a second time */
        size_t start = run_once(folder, tree, &a, a.len, &stats, &result);
        assert_int_equal(result, 0);
        resumed += start > 0;
        assert_true(start + 400000 + STEP > stop || start == 0);
        assert_unpacked(folder);
        unpack_stats_clear(&stats);
        autofree char *path = path_join(folder->path, "tree");
        struct err err = ERR_INIT;
        assert_good(fs_remove_tree(path, &err), err);
        assert_int_equal(unlinkat(folder->fd, "journal", 0), 0);
    }
    assert_true(resumed > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(test_parts),
        folder_test(test_line_that_is_cut_off),
        folder_test(test_journals_that_make_no_sense),
        folder_test(test_cut_off_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
