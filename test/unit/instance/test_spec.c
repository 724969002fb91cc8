/* The specification: the request for one rung, labels, both ends of life, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/proc.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/instance/spec.h"
#include "necoops/instance/startup.h"

#define BASE                                                                                       \
    "project=p", "zones=a-b", "instance.image.family=f", "schedule.timeZone=Asia/Tokyo",           \
        "schedule.down=21:00"

static int64_t now_ms;

static int64_t fixed(void *arg)
{
    (void)arg;
    return now_ms;
}

static const struct clock fixed_clock = {.wall_ms = fixed, .mono_ms = fixed};
static const char *const ci_environ[] = {"CIRCLE_BRANCH=Feature/Über#1", "CIRCLE_BUILD_NUM=77",
                                         "PATH=/usr/bin:/bin", NULL};

static struct run test_run(void)
{
    struct run run = {
        .clock = &fixed_clock, .wake_fd = -1, .deadline = RUN_NO_DEADLINE, .environ = ci_environ};
    return run;
}

static int load(const char *const *sets, struct conf **conf, struct instance_spec *spec,
                struct err *err)
{
    struct run run = test_run();
    autostrv struct strv list = STRV_INIT;
    for (; *sets; sets++)
        strv_add(&list, *sets);
    if (conf_load(&run, "/dev/null", &list, conf, err) < 0)
        fail_msg("%s", err_text(err));
    return instance_spec_load(&run, *conf, spec, err);
}

static int set_now(void **state)
{
    (void)state;
    autoerr struct err err = ERR_INIT;
    return time_parse_rfc3339("2026-11-20T08:00:00+09:00", &now_ms, &err);
}

static const char *metadata_item(const struct instance_spec *spec, const char *key)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(spec->metadata, "items"))
    {
        if (strcmp(json_str_or(item, "key", ""), key) == 0)
            return json_str(item, "value");
    }
    return NULL;
}

static void test_body(void **state)
{
    (void)state;
    const char *const sets[] = {BASE,
                                "instance.localSsds=2",
                                "instance.nestedVirtualization=true",
                                "instance.provisioningModel=SPOT",
                                "instance.labels={team: neco}",
                                "instance.serviceAccount.scopes=devstorage.read_only,https://x/y",
                                NULL};
    struct conf *conf;
    autospec struct instance_spec spec = {.name = NULL};
    autoerr struct err err = ERR_INIT;
    if (load(sets, &conf, &spec, &err) < 0)
        fail_msg("%s", err_text(&err));
    autojson cJSON *body = instance_spec_body(&spec, "a-b", "n1-highmem-8", "IMAGE");
    assert_string_equal(json_str(body, "machineType"), "zones/a-b/machineTypes/n1-highmem-8");
    assert_string_equal(json_str(body, "disks[0].initializeParams.sourceImage"), "IMAGE");
    assert_string_equal(json_str(body, "disks[0].initializeParams.diskSizeGb"), "20");
    assert_string_equal(json_str(body, "disks[2].type"), "SCRATCH");
    assert_int_equal(cJSON_GetArraySize(json_at(body, "disks")), 3);
    assert_string_equal(json_str(body, "scheduling.provisioningModel"), "SPOT");
    assert_string_equal(json_str(body, "scheduling.terminationTime"), "2026-11-20T15:00:00Z");
    assert_string_equal(json_str(body, "scheduling.instanceTerminationAction"), "DELETE");
    assert_string_equal(json_str(body, "serviceAccounts[0].scopes[0]"),
                        "https://www.googleapis.com/auth/devstorage.read_only");
    assert_string_equal(json_str(body, "serviceAccounts[0].scopes[1]"), "https://x/y");
    assert_true(json_bool(body, "advancedMachineFeatures.enableNestedVirtualization", false));
    const cJSON *labels = json_at(body, "labels");
    assert_string_equal(json_str(labels, "team"), "neco");
    assert_string_equal(json_str(labels, "necoops"), "managed");
    assert_string_equal(json_str(labels, "necoops-ref"), "feature---ber-1");
    assert_string_equal(json_str(labels, "necoops-build"), "77");
    /* 2026-11-20 21:00 in Tokyo */
    assert_string_equal(json_str(labels, "necoops-until"), "1795176000");
    assert_string_equal(metadata_item(&spec, "enable-guest-attributes"), "TRUE");
    conf_free(conf);
}

static void test_hash_changes_with_what_matters(void **state)
{
    (void)state;
    const char *const variants[][8] = {
        {BASE, NULL},
        {BASE, "instance.localSsds=1", NULL},
        {BASE, "instance.labels={team: x}", NULL},
    };
    char *hashes[3];
    for (size_t i = 0; i < 3; i++) {
        struct conf *conf;
        autospec struct instance_spec spec = {.name = NULL};
        autoerr struct err err = ERR_INIT;
        assert_int_equal(load(variants[i], &conf, &spec, &err), 0);
        hashes[i] = xstrdup(spec.hash);
        conf_free(conf);
    }
    assert_string_not_equal(hashes[0], hashes[1]);
    assert_string_not_equal(hashes[0], hashes[2]); /* the label travels in the configuration */
    for (size_t i = 0; i < 3; i++)
        free(hashes[i]);
}

static void test_startup_script(void **state)
{
    (void)state;
    const char *const sets[] = {BASE, "snapshot.to=/x", "snapshot.source=gs://b/it's ${HOME}.tar",
                                "instance.localSsds=1", NULL};
    struct conf *conf;
    autospec struct instance_spec spec = {.name = NULL};
    autoerr struct err err = ERR_INIT;
    assert_int_equal(load(sets, &conf, &spec, &err), 0);
    const char *script = metadata_item(&spec, "startup-script");
    assert_true(text_starts(script, "#!/bin/bash\n"));
    assert_non_null(strstr(script, "\nsnapshot_source='gs://b/it'\\''s ${HOME}.tar'\n"));
    assert_non_null(strstr(script, "\nlocal_ssds=1\nsetup_timeout=1800\n"));
    assert_non_null(strstr(metadata_item(&spec, "necoops-config"), "gs://b/it's $${HOME}.tar"));
    struct run run = test_run();
    struct proc_result result = {.out = BUF_INIT(BUF_SMALL), .error = BUF_INIT(BUF_SMALL)};
    const char *const argv[] = {"bash", "-n", NULL};
    const struct proc_spec check = {.argv = argv, .input = script, .input_len = strlen(script)};
    if (proc_check(&run, &check, &result, &err) < 0)
        fail_msg("%s", err_text(&err));
    assert_int_equal(result.error.len, 0);
    buf_clear(&result.out);
    buf_clear(&result.error);
    conf_free(conf);
}

static void refuse(const char *set, const char *text)
{
    const char *const sets[] = {BASE, set, NULL};
    struct conf *conf;
    struct instance_spec spec;
    autoerr struct err err = ERR_INIT;
    assert_int_equal(load(sets, &conf, &spec, &err), -1);
    assert_int_equal(err_exit_status(&err), 2);
    assert_string_equal(err_text(&err), text);
    conf_free(conf);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("instance.name=Neco", "instance.name: 'Neco' is no name: a lower case letter, then "
                                 "letters, digits and '-', at most 63");
    refuse("instance.labels={Team: x}",
           "instance.labels: 'Team: x' is no label: lower case letters, digits, '_' and '-', at "
           "most 63 each");
    refuse("snapshot.source=gs://b/o", "snapshot.to: '' is no absolute path on the instance");
    refuse("instance.programs.archive=/tmp/x",
           "instance.programs.archive: '/tmp/x' is no gs:// object");
    refuse(
        "instance.programs.archive=gs://b/o",
        "instance.programs.sha256: wants the archive's SHA-256, 64 lower case hexadecimal digits");
}

static void test_machine_refusals(void **state)
{
    (void)state;
    const char *const nested[] = {BASE, "instance.machineTypes=n1-highmem-8,e2-standard-4",
                                  "instance.nestedVirtualization=true", NULL};
    const char *const ssds[] = {BASE, "instance.machineTypes=n2-highmem-8", "instance.localSsds=3",
                                NULL};
    struct conf *conf;
    struct instance_spec spec;
    autoerr struct err err = ERR_INIT;
    assert_int_equal(load(nested, &conf, &spec, &err), -1);
    assert_string_equal(
        err_text(&err),
        "instance.machineTypes: 'e2-standard-4' cannot have VMs inside: E2 machines "
        "have no nested virtualization; N1, N2, C2 and C3 have it");
    conf_free(conf);
    assert_int_equal(load(ssds, &conf, &spec, &err), -1);
    assert_string_equal(err_text(&err),
                        "instance.localSsds: 'n2-highmem-8' does not take 3 local SSDs; it takes "
                        "one of: 1 2 4 8 16 24");
    conf_free(conf);
}

static void test_setup_script_size(void **state)
{
    (void)state;
    autoerr struct err err = ERR_INIT;
    char *dir;
    assert_int_equal(fs_make_temp_dir("/tmp", "spec", &dir, &err), 0);
    autofree char *path = path_join(dir, "setup");
    autofree char *big = xmalloc(300000);
    memset(big, 'x', 300000);
    assert_int_equal(fs_write(path, big, 300000, 0600, &err), 0);
    autofree char *set = xasprintf("instance.setup=%s", path);
    const char *const sets[] = {BASE, set, NULL};
    struct conf *conf;
    struct instance_spec spec;
    assert_int_equal(load(sets, &conf, &spec, &err), -1);
    assert_int_equal(err_exit_status(&err), 2);
    assert_non_null(strstr(err_text(&err), "instance.setup: "));
    conf_free(conf);
    assert_int_equal(fs_write(path, "echo", 4, 0600, &err), 0);
    assert_int_equal(load(sets, &conf, &spec, &err), -1);
    assert_non_null(strstr(err_text(&err), "does not begin with '#!'"));
    conf_free(conf);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_hash_changes_with_what_matters),
        cmocka_unit_test(test_startup_script),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_machine_refusals),
        cmocka_unit_test(test_setup_script_size),
    };
    return cmocka_run_group_tests(tests, set_now, NULL);
}
