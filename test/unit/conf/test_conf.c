/* The configuration: precedence, origins, and errors that name where and what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/conf/conf.h"

static char *dir;

static int make_dir(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    return fs_make_temp_dir("/tmp", "conf", &dir, &err);
}

static int remove_dir(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    int result = fs_remove_tree(dir, &err);
    free(dir);
    return result;
}

static struct run run_with(const char *const *environ_list)
{
    return (struct run){.clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE,
                        .environ = environ_list};
}

static char *write_file(const char *text)
{
    struct err err = ERR_INIT;
    char *path = path_join(dir, "necoops.yaml");
    assert_int_equal(fs_write(path, text, strlen(text), 0600, &err), 0);
    return path;
}

static const char *const no_environ[] = {NULL};

static void test_precedence(void **state)
{
    (void)state;
    autofree char *path = write_file("project: from-file\nzones: [a, b]\ninstance: {name: x}\n");
    const char *const environ_list[] = {"NECOOPS_INSTANCE_NAME=y", "NECOOPS_ZONES=c,d", NULL};
    struct run run = run_with(environ_list);
    autostrv struct strv sets = STRV_INIT;
    strv_add(&sets, "zones=[e]");
    struct err err = ERR_INIT;
    struct conf *conf;
    assert_int_equal(conf_load(&run, path, &sets, &conf, &err), 0);
    assert_string_equal(conf_str(conf, "project"), "from-file");
    assert_string_equal(conf_str(conf, "instance.name"), "y");
    autostrv struct strv zones = STRV_INIT;
    conf_strs(conf, "zones", &zones);
    assert_int_equal(zones.len, 1);
    assert_string_equal(zones.items[0], "e");
    assert_int_equal(conf_duration_ms(conf, "lifetime.maxExtension", 0), 3 * 3600 * 1000);
    assert_int_equal(conf_int(conf, "instance.bootDisk.sizeGb", 0), 20);
    assert_null(conf_str(conf, "snapshot.source"));

    autojson cJSON *all = conf_to_json(conf);
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(all, "zones"), "origin")->valuestring,
                        "--set");
    const cJSON *project = cJSON_GetObjectItem(all, "project");
    autofree char *where = xasprintf("%s:1:1", path);
    assert_string_equal(json_str(project, "origin"), where);
    conf_free(conf);
}

static void test_clusters_and_expansion(void **state)
{
    (void)state;
    autofree char *path = write_file("clusters:\n  stage: {path: 'a/${WHO}', kubeconfig: 'k/${WHO}'}\n"
                                     "  bk: {enabled: false, reason: '$${x}'}\n");
    const char *const environ_list[] = {"WHO=me", "HOME=/home/me", NULL};
    struct run run = run_with(environ_list);
    struct err err = ERR_INIT;
    struct conf *conf;
    if (conf_load(&run, path, NULL, &conf, &err) < 0)
        fail_msg("%s", err_text(&err));
    autostrv struct strv names = STRV_INIT;
    conf_names(conf, "clusters", &names);
    assert_int_equal(names.len, 2);
    assert_string_equal(names.items[0], "stage");
    assert_string_equal(conf_str(conf, "clusters.stage.path"), "a/me");
    assert_string_equal(conf_str(conf, "clusters.bk.reason"), "${x}");
    assert_false(conf_bool(conf, "clusters.bk.enabled"));
    assert_true(conf_bool(conf, "clusters.stage.enabled"));
    autofree char *kubeconfig = conf_path(&run, conf, "clusters.stage.kubeconfig");
    autofree char *want = path_join(dir, "k/me");
    assert_string_equal(kubeconfig, want);

    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    conf_print(conf, stream);
    fclose(stream);
    assert_non_null(strstr(text, "\nclusters:\n  stage:\n    path: \"a/me\"  # "));
    assert_non_null(strstr(text, "\n  bk:\n    revision: \"commit\"  # default\n"));
    free(text);
    conf_free(conf);
}

static void refuse(const char *text, const char *const *environ_list, const char *set,
                   const char *message)
{
    autofree char *path = write_file(text);
    struct run run = run_with(environ_list);
    autostrv struct strv sets = STRV_INIT;
    if (set)
        strv_add(&sets, set);
    autoerr struct err err = ERR_INIT;
    struct conf *conf = NULL;
    assert_int_equal(conf_load(&run, path, &sets, &conf, &err), -1);
    assert_int_equal(err_exit_status(&err), 2);
    autofree char *whole = text_starts(message, ":") ? xasprintf("%s%s", path, message)
                                                     : xstrdup(message);
    assert_string_equal(err_text(&err), whole);
    assert_null(conf);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("instance:\n  machineType: [x]\n", no_environ, NULL,
           ":2:3: unknown key 'instance.machineType'; did you mean 'instance.machineTypes'?");
    refuse("projekt: x\n", no_environ, NULL, ":1:1: unknown key 'projekt'; did you mean 'project'?");
    refuse("instance: 3\n", no_environ, NULL, ":1:1: 'instance' wants keys below it");
    refuse("project: 3\n", no_environ, NULL,
           ":1:1: 'project': wants a text, and 3 is none: put it in quotes");
    refuse("snapshot: {nodes: many}\n", no_environ, NULL,
           ":1:12: 'snapshot.nodes': wants a whole number");
    refuse("snapshot: {nodes: -1}\n", no_environ, NULL,
           ":1:12: 'snapshot.nodes': wants a number from 0 to 10000");
    refuse("schedule: {up: '24:00'}\n", no_environ, NULL,
           ":1:12: 'schedule.up': wants a time of day such as \"07:30\"");
    refuse("project: ${NOPE}\n", no_environ, NULL,
           ":1:1: 'project': environment variable NOPE is not set");
    refuse("project: a\nproject: b\n", no_environ, NULL, ":2:1: the key 'project' is there twice");
    refuse("project: a\n", no_environ, "instance.localSsds=x",
           "--set: 'instance.localSsds': wants a whole number");
    refuse("project: a\n", no_environ, "nothing", "--set wants KEY=VALUE, not 'nothing'");
    const char *const bad[] = {"NECOOPS_INSTANCE_SETUPTIMEOUT=soon", NULL};
    autofree char *path = write_file("project: a\n");
    struct run run = run_with(bad);
    autoerr struct err err = ERR_INIT;
    struct conf *conf = NULL;
    assert_int_equal(conf_load(&run, path, NULL, &conf, &err), -1);
    assert_non_null(strstr(err_text(&err), "environment variable NECOOPS_INSTANCE_SETUPTIMEOUT: "));
}

static void test_missing_file_and_value(void **state)
{
    (void)state;
    struct run run = run_with(no_environ);
    autoerr struct err err = ERR_INIT;
    struct conf *conf = NULL;
    assert_int_equal(conf_load(&run, "/nonexistent/necoops.yaml", NULL, &conf, &err), -1);
    assert_int_equal(err_exit_status(&err), 2);
    assert_non_null(strstr(err_text(&err), "/nonexistent/necoops.yaml"));
    autofree char *path = write_file("zones: [a]\n");
    assert_int_equal(conf_load(&run, path, NULL, &conf, &err), 0);
    assert_int_equal(conf_require(conf, "zones", &err), 0);
    assert_int_equal(conf_require(conf, "project", &err), -1);
    assert_non_null(strstr(err_text(&err), "'project' is not set; add it there or give --set"));
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_clusters_and_expansion),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_missing_file_and_value),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
