#include "folder.h"
#include "necoops/base/log.h"
#include "snapshot/restore.h"

static const char *const environ_[] = {"PATH=/usr/bin:/bin", NULL};

static struct run the_run(void)
{
    return (struct run){
        .clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE, .environ = environ_};
}

static cJSON *json_of(const char *text)
{
    struct err err = ERR_INIT;
    cJSON *json = NULL;
    assert_good(json_parse(text, strlen(text), "test", &json, &err), err);
    return json;
}

static void assert_list(const char *text, const char *message)
{
    struct err err = ERR_INIT;
    int result = restore_check_list(text, strlen(text), "init", &err);
    assert_string_equal(err_text(&err), message);
    assert_int_equal(result, *message ? -1 : 0);
    err_clear(&err);
}

static void test_lists_with_the_tag(void **state)
{
    (void)state;
    assert_list("{\"node1\": [{\"name\": \"init\", \"vm-state-size\": 5}], "
                "\"node2\": [{\"name\": \"other\"}, {\"name\": \"init\"}]}",
                "");
    assert_list("{\"node1\": [\"init\"], \"node2\": [\"other\", \"init\"]}", "");
    assert_list("{\"node1\": \"List of snapshots:\\nID  TAG  VM SIZE\\n--  init  1.2 GiB\\n\"}",
                "");
    assert_list("{\"node1\": {\"snapshots\": [{\"tag\": \"init\"}]}}", "");
}

static void test_lists_without_the_tag(void **state)
{
    (void)state;
    assert_list("{\"node1\": [{\"name\": \"init\"}], \"node2\": [], \"node3\": null}",
                "snapshot 'init' does not exist in 'node2', 'node3'");
    assert_list("{\"node1\": [{\"name\": \"initial\"}, {\"name\": \"re-init\"}]}",
                "snapshot 'init' does not exist in 'node1'");
    assert_list("{\"node1\": \"There is no snapshot available. initialised\"}",
                "snapshot 'init' does not exist in 'node1'");
    assert_list("{\"node1\": [{\"name\": \"x\", \"comment\": \"init\"}]}",
                "snapshot 'init' does not exist in 'node1'");
    assert_list("{}", "no VM is listed: nothing was loaded");
    assert_list("[]", "no VM is listed: nothing was loaded");
}

static void test_list_that_is_none(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(restore_check_list("oops", 4, "init", &err), -1);
    assert_non_null(strstr(err_text(&err), "snapshot list"));
    err_clear(&err);
}

static void test_commands_in_order(void **state)
{
    struct folder *folder = *state;
    struct run run = the_run();
    struct err err = ERR_INIT;
    run.log = log_new(stderr, "test", LOG_TEXT, LOG_WARNING);
    autofree char *text =
        xasprintf("[[\"sh\", \"-c\", \"echo one > '%s/out'\"], [\"sh\", \"-c\", \"echo two >> "
                  "'%s/out'\"]]",
                  folder->path, folder->path);
    autojson cJSON *good = json_of(text);
    assert_good(restore_commands(&run, good, "snapshot.before", &err), err);
    autofree char *out = folder_read(folder, "out");
    assert_string_equal(out, "one\ntwo\n");
    assert_good(restore_commands(&run, NULL, "snapshot.before", &err), err);
    autojson cJSON *bad =
        json_of("[[\"sh\", \"-c\", \"echo no such unit >&2; exit 5\"], [\"true\"]]");
    assert_int_equal(restore_commands(&run, bad, "snapshot.after", &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_non_null(strstr(err_text(&err), "snapshot.after: "));
    assert_non_null(strstr(err_text(&err), "no such unit"));
    autojson cJSON *wrong = json_of("[[\"true\", 5]]");
    assert_int_equal(restore_commands(&run, wrong, "snapshot.after", &err), -1);
    assert_error(err, ERR_USAGE, "'snapshot.after' has a command that is no list of strings");
    autojson cJSON *empty = json_of("[[]]");
    assert_int_equal(restore_commands(&run, empty, "snapshot.after", &err), -1);
    assert_error(err, ERR_USAGE, "'snapshot.after' has an empty command");
    log_free(run.log);
}

static void words(struct strv *list, const char *text)
{
    strv_split(list, text, ' ');
}

static void test_load_and_verify(void **state)
{
    struct folder *folder = *state;
    struct run run = the_run();
    struct err err = ERR_INIT;
    autostrv struct strv load = STRV_INIT;
    autostrv struct strv verify = STRV_INIT;
    run.log = log_new(stderr, "test", LOG_TEXT, LOG_WARNING);
    autofree char *list = path_join(folder->path, "list");
    autofree char *cat = xasprintf("cat %s", list);
    words(&load, "true");
    words(&verify, cat);
    struct snapshot_options options = {.tag = "init", .load = &load, .verify = &verify};
    folder_write(folder, "list", "{\"n1\": [{\"name\": \"init\"}]}");
    assert_good(restore_vms(&run, &options, &err), err);
    folder_write(folder, "list", "{\"n1\": [{\"name\": \"old\"}]}");
    assert_int_equal(restore_vms(&run, &options, &err), -1);
    assert_error(err, ERR_FAILED, "after the load: snapshot 'init' does not exist in 'n1'");
    strv_clear(&load);
    words(&load, "false");
    assert_int_equal(restore_vms(&run, &options, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    err_clear(&err);
    strv_clear(&load); /* the default command, which is not there */
    assert_int_equal(restore_vms(&run, &options, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), "pmctl"));
    err_clear(&err);
    log_free(run.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_with_the_tag), cmocka_unit_test(test_lists_without_the_tag),
        cmocka_unit_test(test_list_that_is_none),  folder_test(test_commands_in_order),
        folder_test(test_load_and_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
