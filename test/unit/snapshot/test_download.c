#include "folder.h"
#include <zstd.h>
#include "../support/http_server.h"
#include "necoops/base/digest.h"
#include "necoops/http/http.h"
#include "snapshot/download.h"

/* One object on a scripted server, fetched part by part over one connection at a time. */
struct world {
    struct folder *folder;
    struct server server;
    struct run run;
    char host[96];
    const char *environ_[2];
    struct http *http;
    struct gcs *gcs;
    struct gcs_object object;
    struct buf content;
    char heads[SERVER_STEPS][160];
    struct download_stats stats;
};

#define PART ((size_t)256 << 10)

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct err err = ERR_INIT;
    folder_set_up((void **)&w->folder);
    server_start(&w->server);
    snprintf(w->host, sizeof(w->host), "STORAGE_EMULATOR_HOST=%s", w->server.url);
    w->environ_[0] = w->host;
    w->run = (struct run){.clock = &clock_system,
                          .wake_fd = -1,
                          .deadline = RUN_NO_DEADLINE,
                          .environ = w->environ_,
                          .log = log_new(stderr, "test", LOG_TEXT, LOG_WARNING)};
    assert_good(http_new(&w->run, &w->http, &err), err);
    assert_good(gcs_new(w->http, NULL, &w->gcs, &err), err);
    buf_init(&w->content, BUF_LARGE);
    w->object = (struct gcs_object){
        .bucket = (char *)"b", .name = (char *)"o", .generation = 42, .has_crc32c = true};
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    gcs_free(w->gcs);
    http_free(w->http);
    server_stop(&w->server);
    log_free(w->run.log);
    buf_clear(&w->content);
    unpack_stats_clear(&w->stats.unpacked);
    folder_tear_down((void **)&w->folder);
    free(w);
    return 0;
}

/* The object's content is `data`; its checksum is right. */
static void set_object(struct world *w, const char *name, const void *data, size_t len)
{
    assert_int_equal(buf_add(&w->content, data, len), 0);
    w->object.name = (char *)name;
    w->object.size = w->content.len;
    w->object.crc32c = crc32c(0, w->content.data, w->content.len);
}

/* An answer with bytes [first, first+len) under a head that names exactly these. */
static struct step *add_range(struct world *w, size_t first, size_t len)
{
    int n = w->server.steps_len;
    snprintf(w->heads[n], sizeof(w->heads[n]),
             "Content-Range: bytes %zu-%zu/%zu\r\nX-Goog-Generation: 42\r\n", first,
             first + len - 1, w->content.len);
    server_add(&w->server, (struct step){.status = 206,
                                         .headers = w->heads[n],
                                         .body = w->content.data + first,
                                         .body_len = len});
    return &w->server.steps[n];
}

static int download(struct world *w, bool archive, struct err *err)
{
    struct download download = {.http = w->http,
                                .gcs = w->gcs,
                                .object = &w->object,
                                .connections = 1,
                                .part_size = PART,
                                .tree_fd = w->folder->fd};
    return archive ? download_archive(&download, &w->stats, err)
                   : download_file(&download, "disk.img", &w->stats, err);
}

/* 600,000 bytes that are not all the same, a hole of 40,000 in them: parts of 262144, 262144,
 * 75712. */
static void set_image(struct world *w)
{
    autofree char *data = xmalloc(600000);
    for (size_t i = 0; i < 600000; i++)
        data[i] = i >= 300000 && i < 340000 ? 0 : (char)(i % 251 + 1);
    set_object(w, "images/disk.img", data, 600000);
}

static void assert_image(struct world *w)
{
    autofree char *path = path_join(w->folder->path, "disk.img");
    autobuf struct buf back = BUF_INIT(BUF_LARGE);
    struct err err = ERR_INIT;
    assert_good(fs_read(path, &back, &err), err);
    assert_int_equal(back.len, w->content.len);
    assert_memory_equal(back.data, w->content.data, back.len);
}

static void test_file_in_parts(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    set_image(w);
    add_range(w, 0, PART);
    add_range(w, PART, PART);
    add_range(w, 2 * PART, 600000 - 2 * PART);
    assert_good(download(w, false, &err), err);
    assert_image(w);
    assert_int_equal(w->stats.received, 600000);
    assert_true(w->stats.unpacked.disk_bytes < 600000 - 30000);
    assert_string_equal(w->stats.unpacked.names.items[0], "disk.img");
    assert_string_equal(server_line(&w->server, 0),
                        "GET /storage/v1/b/b/o/images%2Fdisk.img?alt=media&generation=42");
    assert_string_equal(server_header(&w->server, 1, "Range"), "bytes=262144-524287");
    assert_string_equal(server_header(&w->server, 2, "Range"), "bytes=524288-599999");
    assert_string_equal(server_header(&w->server, 2, "Accept-Encoding"), "gzip");
    assert_int_equal(w->server.connections, 1);
}

/* A part goes on where it broke, twice. */
static void test_broken_streams_go_on(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    set_image(w);
    add_range(w, 0, PART)->cut = (int)PART - 1000;
    add_range(w, 1000, PART - 1000);
    server_add(&w->server, (struct step){.status = 0}); /* reset */
    add_range(w, PART, PART);
    server_add(&w->server, (struct step){.status = 503});
    add_range(w, 2 * PART, 600000 - 2 * PART);
    assert_good(download(w, false, &err), err);
    assert_image(w);
    assert_string_equal(server_header(&w->server, 1, "Range"), "bytes=1000-262143");
    assert_string_equal(server_header(&w->server, 3, "Range"), "bytes=262144-524287");
    assert_int_equal(w->stats.received, 600000);
}

static void test_wrong_answers(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    set_image(w);
    server_add(&w->server, (struct step){.status = 200, .body = "all of it"});
    server_add(&w->server, (struct step){.status = 206,
                                         .headers = "Content-Range: bytes 5-9/600000\r\n",
                                         .body = "other"});
    server_add(&w->server, (struct step){.status = 206,
                                         .headers = "Content-Range: bytes 0-262143/600000\r\n"
                                                    "X-Goog-Generation: 43\r\n",
                                         .body = "newer"});
    assert_int_equal(download(w, false, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_non_null(strstr(err_text(&err),
                           "download of 'gs://b/images/disk.img' broke at byte 0: object "
                           "'gs://b/images/disk.img': another generation was answered than asked "
                           "for"));
    err_clear(&err);
}

static void test_replaced_meanwhile(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    set_image(w);
    add_range(w, 0, PART);
    server_add(&w->server,
               (struct step){.status = 404, .body = "No such object: b/images/disk.img"});
    assert_int_equal(download(w, false, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_non_null(strstr(err_text(&err), "object 'gs://b/images/disk.img' was replaced while it "
                                           "was downloaded (byte 262144): "));
    err_clear(&err);
}

static void test_denied_is_not_tried_again(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    set_image(w);
    server_add(&w->server, (struct step){.status = 403, .body = "{}"});
    assert_int_equal(download(w, false, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_non_null(strstr(err_text(&err), "storage.objects.get"));
    err_clear(&err);
    assert_int_equal(w->server.seen_len, 1);
}

static void test_flipped_byte(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    set_image(w);
    w->object.crc32c ^= 1;
    add_range(w, 0, PART);
    add_range(w, PART, PART);
    add_range(w, 2 * PART, 600000 - 2 * PART);
    assert_int_equal(download(w, false, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_non_null(strstr(err_text(&err), "'gs://b/images/disk.img' is corrupt: CRC32C of what "
                                           "came is "));
    err_clear(&err);
}

/* An archive of one file larger than a few parts, noise so that it does not pack. */
static void set_archive(struct world *w, bool packed)
{
    autobuf struct buf tar = BUF_INIT(BUF_LARGE);
    autofree char *noise = xmalloc(700000);
    uint32_t state = 1;
    for (size_t i = 0; i < 700000; i++) {
        state = state * 1664525 + 1013904223;
        noise[i] = (char)(state >> 24);
    }
    tar_header(&tar, &(struct header){.name = "volumes/root.img", .size = 700000});
    tar_content(&tar, noise, 700000);
    tar_end(&tar);
    if (!packed) {
        set_object(w, "s.tar", tar.data, tar.len);
        return;
    }
    size_t room = ZSTD_compressBound(tar.len);
    autofree char *bytes = xmalloc(room);
    size_t len = ZSTD_compress(bytes, room, tar.data, tar.len, 1);
    set_object(w, "s.tar.zst", bytes, len);
}

static void add_all_ranges(struct world *w)
{
    for (size_t at = 0; at < w->content.len; at += PART)
        add_range(w, at, w->content.len - at < PART ? w->content.len - at : PART);
}

static void test_archives(void **state)
{
    for (int packed = 0; packed < 2; packed++) {
        struct world *w = *state;
        struct err err = ERR_INIT;
        set_archive(w, packed);
        add_all_ranges(w);
        assert_good(download(w, true, &err), err);
        assert_int_equal(w->stats.unpacked.files, 1);
        assert_int_equal(w->stats.unpacked.apparent_bytes, 700000);
        struct stat st;
        assert_int_equal(fstatat(w->folder->fd, "volumes/root.img", &st, 0), 0);
        assert_int_equal(st.st_size, 700000);
        tear_down(state);
        set_up(state);
    }
}

static void test_archive_that_is_broken(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    set_archive(w, true);
    w->content.len -= 10; /* as it was uploaded: its checksum is right */
    w->object.size = w->content.len;
    w->object.crc32c = crc32c(0, w->content.data, w->content.len);
    add_all_ranges(w);
    assert_int_equal(download(w, true, &err), -1);
    assert_error(err, ERR_FAILED,
                 "object 'gs://b/s.tar.zst' cannot be unpacked: zstd stream is truncated; its "
                 "checksum is right, so that is how it was uploaded: pack it anew");
}

/* The unpacking fails at once: the rest is not fetched. */
static void test_hostile_archive_ends_the_download(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    set_archive(w, false);
    memcpy(w->content.data, "/etc/cron.d/x\0\0\0", 16);
    memset(w->content.data + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)w->content.data[i];
    snprintf(w->content.data + 148, 8, "%06o", sum);
    w->object.crc32c = crc32c(0, w->content.data, w->content.len);
    add_range(w, 0, PART);
    add_range(w, PART, PART)->delay_ms = 300;
    add_all_ranges(w);
    assert_int_equal(download(w, true, &err), -1);
    assert_error(err, ERR_FAILED, "object 'gs://b/s.tar': entry '/etc/cron.d/x': path is absolute");
    pthread_mutex_lock(&w->server.mutex);
    assert_true(w->server.seen_len <= 2);
    pthread_mutex_unlock(&w->server.mutex);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(download_is_archive("a/b.tar"));
    assert_true(download_is_archive("b.tar.zst"));
    assert_true(download_is_archive("b.tgz"));
    assert_false(download_is_archive("b.img"));
    assert_false(download_is_archive("b.tar.zst.json"));
    assert_false(download_is_archive("b.gz"));
}

static void test_size_that_no_object_has(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    w->object.size = UINT64_MAX;
    assert_int_equal(download(w, false, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    err_clear(&err);
    assert_int_equal(w->server.seen_len, 0);
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_file_in_parts),
        test(test_broken_streams_go_on),
        test(test_wrong_answers),
        test(test_replaced_meanwhile),
        test(test_denied_is_not_tried_again),
        test(test_flipped_byte),
        test(test_archives),
        test(test_archive_that_is_broken),
        test(test_hostile_archive_ends_the_download),
        cmocka_unit_test(test_names),
        test(test_size_that_no_object_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
