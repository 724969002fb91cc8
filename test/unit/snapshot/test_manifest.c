#include "archive.h"
#include "necoops/gce/cpu_platform.h"
#include "necoops/snapshot/manifest.h"

#define URL "gs://bucket/sets/1/manifest.json"

static cJSON *json_of(const char *text)
{
    struct err err = ERR_INIT;
    cJSON *json = NULL;
    assert_good(json_parse(text, strlen(text), "test", &json, &err), err);
    return json;
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    autojson cJSON *json = json_of(
        "{\"kind\":\"necoops.snapshot\",\"formatVersion\":1,\"created\":\"2026-11-23T07:00:00Z\","
        "\"tags\":[\"init\"],\"nodes\":5,\"cpuPlatform\":\"Intel "
        "Skylake\",\"qemuVersion\":\"7.2.11\","
        "\"placematVersion\":\"2.4.1\",\"certificatesExpire\":\"2027-11-23T07:00:00Z\","
        "\"unpackedBytes\":\"2147483648\",\"diskBytes\":\"1073741824\",\"entries\":\"17\","
        "\"objects\":[{\"name\":\"s.tar.zst\",\"generation\":\"1700000000000001\",\"size\":\"11\","
        "\"crc32c\":\"yZRlqg==\"},{\"name\":\"gs://other/"
        "disk\",\"generation\":\"5\",\"size\":\"0\","
        "\"crc32c\":\"AAAAAA==\",\"path\":\"volumes/disk.img\"}]}");
    automanifest struct manifest manifest = {0};
    assert_good(manifest_parse(json, URL, &manifest, &err), err);
    assert_int_equal(manifest.object_count, 2);
    assert_string_equal(manifest.objects[0].object.bucket, "bucket");
    assert_string_equal(manifest.objects[0].object.name, "sets/1/s.tar.zst");
    assert_int_equal(manifest.objects[0].object.generation, 1700000000000001);
    assert_int_equal(manifest.objects[0].object.size, 11);
    assert_null(manifest.objects[0].path);
    assert_string_equal(manifest.objects[1].object.bucket, "other");
    assert_string_equal(manifest.objects[1].path, "volumes/disk.img");
    assert_int_equal(manifest.nodes, 5);
    assert_int_equal(manifest.unpacked_bytes, 2147483648);
    autojson cJSON *back = manifest_json(&manifest, URL);
    assert_true(json_equal(json, back));
}

static void assert_refused(const char *objects, const char *message)
{
    struct err err = ERR_INIT;
    automanifest struct manifest manifest = {0};
    autofree char *text =
        xasprintf("{\"kind\":\"necoops.snapshot\",\"formatVersion\":1,\"objects\":%s}", objects);
    autojson cJSON *json = json_of(text);
    assert_int_equal(manifest_parse(json, URL, &manifest, &err), -1);
    assert_string_equal(err_text(&err), message);
    err_clear(&err);
}

static void test_objects_that_do_not_hold(void **state)
{
    (void)state;
    const char *wants = "manifest '" URL "': each of 'objects' wants name, generation, size and "
                        "crc32c";
    assert_refused("[{}]", wants);
    assert_refused("[{\"name\":\"\",\"generation\":\"1\",\"size\":\"1\",\"crc32c\":\"AAAAAA==\"}]",
                   wants);
    assert_refused("[{\"name\":\"x\",\"generation\":\"0\",\"size\":\"1\",\"crc32c\":\"AAAAAA==\"}]",
                   wants);
    assert_refused("[{\"name\":\"x\",\"generation\":\"1\",\"size\":\"1\",\"crc32c\":\"none\"}]",
                   wants);
    assert_refused("[{\"name\":\"x\",\"generation\":\"1\",\"size\":\"1\",\"crc32c\":\"AAAAAA==\","
                   "\"path\":\"/etc/x\"}]",
                   "manifest '" URL "': object 'x': path is absolute");
    assert_refused("{}", "manifest '" URL "': 'objects' must be a list of 1 to 10000 objects");
}

static void test_pointers(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    autostrv struct strv urls = STRV_INIT;
    autojson cJSON *json =
        json_of("{\"kind\":\"necoops.current\",\"formatVersion\":1,\"sets\":[{"
                "\"manifest\":\"sets/2/m.json\"},{\"manifest\":\"gs://b/m.json\"}]}");
    assert_true(json_is_pointer(json));
    assert_good(pointer_parse(json, "gs://bucket/x/current.json", &urls, &err), err);
    assert_int_equal(urls.len, 2);
    assert_string_equal(urls.items[0], "gs://bucket/x/sets/2/m.json");
    assert_string_equal(urls.items[1], "gs://b/m.json");
    autojson cJSON *none =
        json_of("{\"kind\":\"necoops.current\",\"formatVersion\":1,\"sets\":[]}");
    assert_int_equal(pointer_parse(none, "gs://b/c.json", &urls, &err), -1);
    assert_error(err, ERR_FAILED, "'gs://b/c.json' names no sets");
}

static void test_platforms(void **state)
{
    (void)state;
    assert_true(cpu_platform_fits("Intel Skylake", "Intel Skylake"));
    assert_true(cpu_platform_fits("Intel Haswell", "Intel Ice Lake"));
    assert_false(cpu_platform_fits("Intel Ice Lake", "Intel Haswell"));
    assert_false(cpu_platform_fits("Intel Haswell", "AMD Milan"));
    assert_true(cpu_platform_fits("AMD Rome", "AMD Milan"));
    assert_false(cpu_platform_fits("Intel Haswell", "Unknown CPU Platform"));
    assert_true(cpu_platform_fits("Ampere Altra", "Ampere Altra"));
}

static void test_versions(void **state)
{
    (void)state;
    assert_true(version_fits("7.2.11", "7.2.0 (Debian 1:7.2+dfsg-7)"));
    assert_true(version_fits("7.2", "10.0"));
    assert_false(version_fits("7.2", "7.1.9"));
    assert_false(version_fits("10", "7.2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_objects_that_do_not_hold),
        cmocka_unit_test(test_pointers),       cmocka_unit_test(test_platforms),
        cmocka_unit_test(test_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
