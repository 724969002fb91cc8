#include "folder.h"
#include "necoops/base/log.h"
#include "snapshot/note.h"
#include "snapshot/place.h"

static struct run the_run(void)
{
    static const char *const environ_[] = {"HOME=/tmp", NULL};
    return (struct run){
        .clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE, .environ = environ_};
}

static struct place *find(const struct folder *folder, const char *name)
{
    struct run run = the_run();
    struct err err = ERR_INIT;
    struct place *place = NULL;
    autofree char *to = path_join(folder->path, name);
    assert_good(place_find(&run, to, &place, &err), err);
    return place;
}

static void assert_refused(const char *to, const char *message)
{
    struct run run = the_run();
    struct err err = ERR_INIT;
    struct place *place = NULL;
    assert_int_equal(place_find(&run, to, &place, &err), -1);
    assert_string_equal(err_text(&err), message);
    assert_int_equal(err.code, ERR_USAGE);
    err_clear(&err);
}

static void fill_tree(struct place *place, const char *text)
{
    struct err err = ERR_INIT;
    int fd = -1;
    assert_good(place_new_tree(place, &fd, &err), err);
    autoclose int file = openat(fd, "file", O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
}

static void test_new_and_exchange(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    for (int i = 0; i < 2; i++) {
        autoplace struct place *place = find(folder, "dest/");
        assert_int_equal(place_exists(place), i == 1);
        assert_good(place_lock(place, &err), err);
        fill_tree(place, i == 0 ? "one" : "two");
        assert_good(place_exchange(place, &err), err);
        assert_good(place_clean(place, &err), err);
        autofree char *text = folder_read(folder, "dest/file");
        assert_string_equal(text, i == 0 ? "one" : "two");
        assert_false(folder_has(folder, ".dest.necoops"));
    }
}

static void test_given_up(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    assert_int_equal(mkdirat(folder->fd, "dest", 0755), 0);
    folder_write(folder, "dest/file", "old");
    autoplace struct place *place = find(folder, "dest");
    assert_good(place_lock(place, &err), err);
    fill_tree(place, "new");
    assert_good(place_clean(place, &err), err);
    autofree char *text = folder_read(folder, "dest/file");
    assert_string_equal(text, "old");
    assert_false(folder_has(folder, ".dest.necoops"));
}

static void test_lock(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    autoplace struct place *one = find(folder, "dest");
    autoplace struct place *two = find(folder, "dest");
    assert_good(place_lock(one, &err), err);
    assert_int_equal(place_lock(two, &err), -1);
    autofree char *message = xasprintf("another run is loading into '%s/dest'", folder->path);
    assert_error(err, ERR_BUSY, message);
    assert_good(place_clean(one, &err), err);
    assert_good(place_lock(two, &err), err);
    assert_good(place_clean(two, &err), err);
}

static void test_leftovers_of_a_killed_run(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    autoplace struct place *killed = find(folder, "dest");
    assert_good(place_lock(killed, &err), err);
    fill_tree(killed, "half");
    place_free(steal(killed)); /* as the kernel does it: unlocked, nothing removed */
    autoplace struct place *place = find(folder, "dest");
    assert_good(place_lock(place, &err), err);
    assert_true(place_old_tree(place) >= 0);
    int fd = -1;
    assert_good(place_new_tree(place, &fd, &err), err);
    assert_int_equal(faccessat(fd, "file", F_OK, 0), -1);
    assert_good(place_clean(place, &err), err);
}

/* Killed between the two renames that stand in for an exchange. */
static void test_old_one_is_put_back(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    assert_int_equal(mkdirat(folder->fd, ".dest.necoops", 0700), 0);
    assert_int_equal(mkdirat(folder->fd, ".dest.necoops/old", 0755), 0);
    folder_write(folder, ".dest.necoops/old/file", "old");
    autoplace struct place *place = find(folder, "dest");
    assert_good(place_lock(place, &err), err);
    autofree char *text = folder_read(folder, "dest/file");
    assert_string_equal(text, "old");
    assert_good(place_clean(place, &err), err);
}

static void test_refused(void **state)
{
    struct folder *folder = *state;
    assert_refused("/", "destination '/': a folder of its own must be named");
    assert_refused("/proc", "destination '/proc' is a mount point and cannot be exchanged: name a "
                            "folder below it");
    assert_refused("/tmp", "destination '/tmp' is the home folder");
    folder_write(folder, "file", "x");
    autofree char *file = path_join(folder->path, "file");
    autofree char *message = xasprintf("destination '%s' is no folder", file);
    assert_refused(file, message);
}

static void test_note(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    struct gcs_object object = {.generation = 1700000000000001, .size = 3, .crc32c = 5};
    autostrv struct strv files = STRV_INIT;
    strv_add(&files, "file");
    autoplace struct place *place = find(folder, "dest");
    assert_null(place_read_note(place));
    assert_good(place_lock(place, &err), err);
    fill_tree(place, "one");
    autojson cJSON *note = note_new("gs://b/o.tar", &object, &files);
    assert_good(place_note(place, place_old_tree(place), note, &err), err);
    assert_null(place_read_note(place)); /* it is about the tree, not yet in place */
    assert_good(place_exchange(place, &err), err);
    assert_good(place_clean(place, &err), err);
    autojson cJSON *back = place_read_note(place);
    assert_non_null(back);
    assert_true(note_is(back, "gs://b/o.tar", &object));
    assert_false(note_is(back, "gs://b/other.tar", &object));
    object.generation++;
    assert_false(note_is(back, "gs://b/o.tar", &object));
    assert_false(note_is_loaded(back, "init"));
    note_set_loaded(back, "init");
    assert_true(note_is_loaded(back, "init"));
    assert_false(note_is_loaded(back, "other"));
    note_set_loaded(back, NULL);
    assert_false(note_is_loaded(back, "init"));
    assert_int_equal(unlinkat(folder->fd, "dest/file", 0), 0);
    assert_null(place_read_note(place)); /* what it names is gone */
}

static void assert_foreign(const struct place *place, bool foreign)
{
    struct err err = ERR_INIT;
    int result = place_refuse_foreign(place, &err);
    assert_int_equal(result, foreign ? -1 : 0);
    assert_int_equal(err.code, foreign ? ERR_USAGE : ERR_NONE);
    assert_int_equal(strstr(err_text(&err), "--replace") != NULL, foreign);
    err_clear(&err);
}

static void test_what_no_snapshot_made(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    struct gcs_object object = {.generation = 7, .size = 3, .crc32c = 5};
    struct strv none = STRV_INIT;
    autoplace struct place *place = find(folder, "dest");
    assert_foreign(place, false); /* there is nothing */
    assert_int_equal(mkdirat(folder->fd, "dest", 0755), 0);
    assert_foreign(place, false);
    folder_write(folder, "dest/mine", "x");
    assert_foreign(place, true);
    assert_good(place_lock(place, &err), err);
    fill_tree(place, "one");
    autojson cJSON *note = note_new("gs://b/o.tar", &object, &none);
    assert_good(place_note(place, place_old_tree(place), note, &err), err);
    assert_foreign(place, false); /* killed here, the run that was told to replace it goes on */
    assert_good(place_exchange(place, &err), err);
    assert_foreign(place, false);
    folder_write(folder, "dest/more", "x");
    assert_foreign(place, false);
    assert_good(place_clean(place, &err), err);
    assert_int_equal(renameat(folder->fd, "dest", folder->fd, "moved"), 0);
    assert_int_equal(mkdirat(folder->fd, "dest", 0755), 0);
    folder_write(folder, "dest/mine", "x");
    assert_foreign(place, true);
    folder_write(folder, ".dest.necoops.json", "{\"inode\": ");
    assert_foreign(place, true);
}

static void test_note_of_another_boot(void **state)
{
    (void)state;
    struct gcs_object object = {.generation = 7, .size = 3, .crc32c = 5};
    struct strv none = STRV_INIT;
    autojson cJSON *note = note_new("gs://b/o.tar", &object, &none);
    assert_true(note_is(note, "gs://b/o.tar", &object));
    json_set_str(note, "unpackedInBoot", "another");
    assert_false(note_is(note, "gs://b/o.tar", &object));
    note_set_synced(note);
    assert_true(note_is(note, "gs://b/o.tar", &object));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(test_new_and_exchange),
        folder_test(test_given_up),
        folder_test(test_lock),
        folder_test(test_leftovers_of_a_killed_run),
        folder_test(test_old_one_is_put_back),
        folder_test(test_refused),
        folder_test(test_note),
        folder_test(test_what_no_snapshot_made),
        folder_test(test_note_of_another_boot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
