#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../support/client.h"
#include "necoops/base/text.h"
#include "necoops/gce/gce.h"

struct world {
    struct client client;
    struct gce *gce;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    autoerr struct err err = ERR_INIT;

    client_start(&w->client);
    assert_int_equal(gce_new(w->client.http, NULL, "p", &w->gce, &err), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    gce_free(w->gce);
    client_stop(&w->client);
    free(w);
    return 0;
}

#define P "/compute/v1/projects/p/"
#define RUNNING                                                                                    \
    "{\"name\":\"op-1\",\"status\":\"RUNNING\",\"progress\":100,\"zone\":\"http://x/zones/z-a\"}"
#define DONE "{\"name\":\"op-1\",\"status\":\"DONE\",\"zone\":\"http://x/zones/z-a\"}"

static void add(struct world *w, int status, const char *body)
{
    client_answer(&w->client, status, body);
}

static const char *line(struct world *w, int n)
{
    return server_line(&w->client.server, n);
}

static cJSON *parse(const char *text)
{
    autoerr struct err err = ERR_INIT;
    cJSON *json = NULL;

    assert_int_equal(json_parse(text, strlen(text), "test", &json, &err), 0);
    return json;
}

/* ---- names ---- */

static void test_names(void **state)
{
    struct world *w = *state;
    autofree char *url = gce_url(w->gce, "zones/%s/machineTypes/%s", "z", "n1");
    struct gce *gce = NULL;
    autoerr struct err err = ERR_INIT;

    assert_string_equal(url, "projects/p/zones/z/machineTypes/n1");
    assert_string_equal(gce_basename("https://x/zones/us-a"), "us-a");
    assert_string_equal(gce_basename("us-a"), "us-a");
    assert_string_equal(gce_project(w->gce), "p");
    assert_int_equal(gce_new(w->client.http, NULL, "", &gce, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
}

/* ---- instances ---- */

static void test_get(void **state)
{
    struct world *w = *state;
    autojson cJSON *out = NULL;
    autoerr struct err err = ERR_INIT;

    add(w, 200, "{\"name\":\"neco-ops\"}");
    assert_int_equal(gce_instance_get(w->gce, "z-a", "neco-ops", "name,id", &out, &err), 0);
    assert_string_equal(line(w, 0),
                        "GET " P "zones/z-a/instances/neco-ops?fields=name%2Cid&prettyPrint=false");
    assert_string_equal(json_str(out, "name"), "neco-ops");
    add(w, 404, "{\"error\":{\"message\":\"The resource 'x' was not found\"}}");
    autojson cJSON *none = NULL;

    assert_int_equal(gce_instance_get(w->gce, "z/..", "1?", NULL, &none, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(line(w, 1), "GET " P "zones/z%2F../instances/1%3F?prettyPrint=false");
    assert_null(none);
}

struct found {
    struct strv names;
    bool stop;
};

static int add_instance(void *arg, const cJSON *instance, struct err *err)
{
    struct found *found = arg;

    strv_add(&found->names, json_str(instance, "name"));
    return found->stop ? err_set(err, ERR_BUSY, "stop") : 0;
}

static void test_walk(void **state)
{
    struct world *w = *state;
    struct found found = {.names = STRV_INIT};
    autostrv struct strv unreachable = STRV_INIT;
    autoerr struct err err = ERR_INIT;

    add(w, 200,
        "{\"items\":{\"zones/a\":{\"instances\":[{\"name\":\"i1\"},{\"name\":\"i2\"}]},"
        "\"zones/b\":{\"warning\":{\"code\":\"NO_RESULTS_ON_PAGE\"}}},\"nextPageToken\":\"t=1\"}");
    add(w, 200, "{\"items\":{},\"nextPageToken\":\"t2\"}"); /* empty, and yet not the last */
    add(w, 200,
        "{\"items\":{\"zones/c\":{\"instances\":[{\"name\":\"i3\"}]},"
        "\"zones/d\":{\"warning\":{\"code\":\"UNREACHABLE\"}}},\"unreachables\":[\"zones/e\","
        "\"https://x/zones/d\"]}");
    assert_int_equal(gce_instances_walk(w->gce, "labels.a=b", "name,zone", add_instance, &found,
                                        &unreachable, &err),
                     0);
    autofree char *names = strv_join(&found.names, ",");
    autofree char *zones = strv_join(&unreachable, ",");

    assert_string_equal(names, "i1,i2,i3");
    assert_string_equal(zones, "e,d");
    assert_string_equal(
        line(w, 0),
        "GET " P "aggregated/instances?maxResults=500&returnPartialSuccess=true"
        "&filter=labels.a%3Db&fields=nextPageToken%2Cunreachables%2Cwarning%2Citems%2F%2A%28"
        "instances%28name%2Czone%29%2Cwarning%29&prettyPrint=false");
    assert_non_null(strstr(line(w, 1), "&pageToken=t%3D1&"));
    assert_non_null(strstr(line(w, 2), "&pageToken=t2&"));
    strv_clear(&found.names);
    found.stop = true;
    add(w, 200, "{\"items\":{\"zones/a\":{\"instances\":[{\"name\":\"i1\"},{\"name\":\"i2\"}]}}}");
    assert_int_equal(gce_instances_walk(w->gce, NULL, NULL, add_instance, &found, NULL, &err), -1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_int_equal(found.names.len, 1);
    strv_clear(&found.names);
}

static void test_mutations(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *body = parse("{\"name\":\"i\"}");
    autojson cJSON *labels = parse("{\"a\":\"b\"}");
    autojson cJSON *metadata = parse("{\"fingerprint\":\"f\",\"items\":[]}");
    cJSON *operation = NULL;
    const struct {
        const char *line, *body;
    } want[] = {
        {"POST " P "zones/z/instances?requestId=r1&prettyPrint=false", "{\"name\":\"i\"}"},
        {"DELETE " P "zones/z/instances/77?requestId=r2&prettyPrint=false", ""},
        {"POST " P "zones/z/instances/i/setLabels?requestId=r3&prettyPrint=false",
         "{\"labels\":{\"a\":\"b\"},\"labelFingerprint\":\"lf\"}"},
        {"POST " P "zones/z/instances/i/setMetadata?requestId=r4&prettyPrint=false",
         "{\"fingerprint\":\"f\",\"items\":[]}"},
        {"DELETE " P "zones/z/disks/d?requestId=r5&prettyPrint=false", ""},
    };

    for (int i = 0; i < (int)ARRAY_LEN(want); i++) {
        int result = -1;

        add(w, 200, RUNNING);
        switch (i) {
        case 0:
            result = gce_instance_insert(w->gce, "z", body, "r1", &operation, &err);
            break;
        case 1:
            result = gce_instance_delete(w->gce, "z", "77", "r2", &operation, &err);
            break;
        case 2:
            result =
                gce_instance_set_labels(w->gce, "z", "i", labels, "lf", "r3", &operation, &err);
            break;
        case 3:
            result = gce_instance_set_metadata(w->gce, "z", "i", metadata, "r4", &operation, &err);
            break;
        default:
            result = gce_disk_delete(w->gce, "z", "d", "r5", &operation, &err);
            break;
        }
        assert_int_equal(result, 0);
        assert_string_equal(json_str(operation, "name"), "op-1");
        assert_string_equal(line(w, i), want[i].line);
        assert_string_equal(w->client.server.seen[i].body, want[i].body);
        json_freep(&operation);
        operation = NULL;
    }
}

static void test_insert_is_repeated_with_its_id(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *body = parse("{\"name\":\"i\"}");
    autojson cJSON *operation = NULL;
    autojson cJSON *none = NULL;

    server_add(&w->client.server, (struct step){.status = 0}); /* the answer is lost */
    add(w, 200, RUNNING);
    assert_int_equal(gce_instance_insert(w->gce, "z", body, "r1", &operation, &err), 0);
    assert_non_null(strstr(line(w, 1), "requestId=r1"));
    add(w, 409,
        "{\"error\":{\"message\":\"already exists\",\"errors\":[{\"reason\":"
        "\"alreadyExists\"}]}}");
    assert_int_equal(gce_instance_insert(w->gce, "z", body, "r2", &none, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    add(w, 403, "{\"error\":{\"message\":\"Required\",\"errors\":[{\"reason\":\"forbidden\"}]}}");
    assert_int_equal(gce_instance_insert(w->gce, "z", body, "r3", &none, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_non_null(strstr(err_text(&err), "instance 'i' in zone 'z': permission "
                                           "'compute.instances.create' is denied"));
}

/* ---- operations ---- */

static int wait_for(struct world *w, const char *operation, struct err *err)
{
    autojson cJSON *json = parse(operation);

    return gce_operation_wait(w->gce, json, "instance 'i'", err);
}

static void test_wait(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    int64_t start = run_mono_ms(&w->client.run);

    assert_int_equal(wait_for(w, DONE, &err), 0); /* nothing to ask */
    assert_int_equal(w->client.server.seen_len, 0);
    add(w, 200, RUNNING); /* early: again quickly, */
    add(w, 200, RUNNING); /* then with a floor */
    add(w, 200, DONE);
    assert_int_equal(wait_for(w, RUNNING, &err), 0);
    assert_int_equal(err.code, ERR_NONE);
    assert_string_equal(line(w, 0), "POST " P "zones/z-a/operations/op-1/wait?prettyPrint=false");
    assert_string_equal(w->client.server.seen[0].body, "");
    assert_int_equal(w->client.server.seen_len, 3);
    assert_true(run_mono_ms(&w->client.run) - start >= 1000);
    assert_true(run_mono_ms(&w->client.run) - start < 30000);
}

static void test_wait_survives_losses(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    server_add(&w->client.server, (struct step){.status = 0});
    add(w, 503, "<html>");
    add(w, 200, DONE);
    assert_int_equal(wait_for(w, RUNNING, &err), 0);
    assert_int_equal(w->client.server.seen_len, 3);
}

static void test_wait_of_a_global_operation(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    add(w, 200, "{\"name\":\"op-1\",\"status\":\"DONE\"}");
    assert_int_equal(wait_for(w, "{\"name\":\"op-1\",\"status\":\"PENDING\"}", &err), 0);
    assert_string_equal(line(w, 0), "POST " P "global/operations/op-1/wait?prettyPrint=false");
}

static void test_wait_ends_with_the_run(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    int64_t start = run_mono_ms(&w->client.run);

    w->client.run.deadline = start + 300;
    server_add(&w->client.server, (struct step){.status = 200, .body = DONE, .delay_ms = 2500});
    assert_int_equal(wait_for(w, RUNNING, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err_text(&err), "timed out waiting for instance 'i'");
    assert_true(run_mono_ms(&w->client.run) - start < 2400);
}

static void test_wait_for_what_is_forgotten(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    add(w, 404, "{\"error\":{\"message\":\"The resource was not found\"}}");
    assert_int_equal(wait_for(w, RUNNING, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err_text(&err), "its operation is no longer kept by the service"));
    assert_int_equal(wait_for(w, "{}", &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void test_operation_errors(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *code, *message;
        enum err_code want;
        bool stockout;
        const char *part;
    } cases[] = {
        {"ZONE_RESOURCE_POOL_EXHAUSTED", "No room", ERR_CAPACITY, true,
         "instance 'i': ZONE_RESOURCE_POOL_EXHAUSTED: No room; another zone or machine type"},
        {"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "No room", ERR_CAPACITY, true, "No room"},
        {"QUOTA_EXCEEDED", "CPUS", ERR_CAPACITY, false, "ask for more quota"},
        {"IP_SPACE_EXHAUSTED", "x", ERR_CAPACITY, false, "IP_SPACE_EXHAUSTED: x"},
        {"PERMISSIONS_ERROR", "x", ERR_DENIED, false, "PERMISSIONS_ERROR: x"},
        {"CONDITION_NOT_MET", "Constraint constraints/compute.vmExternalIpAccess", ERR_DENIED,
         false, "vmExternalIpAccess"},
        {"CONDITION_NOT_MET", "Supplied fingerprint does not match", ERR_CONFLICT, false,
         "fingerprint"},
        {"RESOURCE_ALREADY_EXISTS", "x", ERR_EXISTS, false, "x"},
        {"RESOURCE_NOT_FOUND", "x", ERR_NOT_FOUND, false, "x"},
        {"INVALID_FIELD_VALUE", "x", ERR_INVALID, false, "x"},
        {"UNSUPPORTED_OPERATION", "x", ERR_INVALID, false, "x"},
        {"INTERNAL_ERROR", "x\\u001b", ERR_FAILED, false, "INTERNAL_ERROR: x\\x1b"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autoerr struct err err = ERR_INIT;
        autofree char *operation =
            xasprintf("{\"name\":\"op-1\",\"status\":\"DONE\",\"httpErrorStatusCode\":503,"
                      "\"error\":{\"errors\":[{\"code\":\"%s\",\"message\":\"%s\"}]}}",
                      cases[i].code, cases[i].message);

        assert_int_equal(wait_for(w, operation, &err), -1);
        assert_int_equal(err.code, cases[i].want);
        assert_string_equal(err.reason, cases[i].code);
        assert_int_equal(err.http_status, 503);
        assert_int_equal(gce_is_stockout(&err), cases[i].stockout);
        assert_non_null(strstr(err_text(&err), cases[i].part));
    }
}

static void test_operations_running(void **state)
{
    struct world *w = *state;
    autojson cJSON *out = NULL;
    autoerr struct err err = ERR_INIT;

    add(w, 200,
        "{\"items\":["
        "{\"name\":\"late\",\"status\":\"RUNNING\",\"targetLink\":\"https://x/instances/i\","
        "\"insertTime\":\"2026-01-02T03:04:05.500-07:00\"},"
        "{\"name\":\"other\",\"status\":\"RUNNING\",\"targetLink\":\"https://x/instances/j\"},"
        "{\"name\":\"done\",\"status\":\"DONE\",\"targetLink\":\"https://x/instances/i\"}],"
        "\"nextPageToken\":\"t\"}");
    add(w, 200,
        "{\"items\":[{\"name\":\"early\",\"status\":\"PENDING\",\"targetLink\":\"x/i\","
        "\"insertTime\":\"2026-01-02T04:04:05.500+00:00\"}]}");
    assert_int_equal(gce_operations_running(w->gce, "z", "i", &out, &err), 0);
    assert_int_equal(cJSON_GetArraySize(out), 2);
    assert_string_equal(json_str(out, "[0].name"), "early");
    assert_string_equal(json_str(out, "[1].name"), "late");
    assert_string_equal(line(w, 0), "GET " P "zones/z/operations?maxResults=500&filter="
                                    "status%20%21%3D%20DONE&prettyPrint=false");
}

static void test_operations_list(void **state)
{
    struct world *w = *state;
    autojson cJSON *out = NULL;
    autoerr struct err err = ERR_INIT;

    add(w, 200,
        "{\"items\":["
        "{\"name\":\"late\",\"status\":\"RUNNING\",\"targetLink\":\"https://x/instances/i\","
        "\"insertTime\":\"2026-01-02T03:04:06Z\"},"
        "{\"name\":\"other\",\"status\":\"DONE\",\"targetLink\":\"https://x/instances/xi\"},"
        "{\"name\":\"done\",\"status\":\"DONE\",\"targetLink\":\"https://x/instances/i\","
        "\"insertTime\":\"2026-01-02T03:04:05Z\"}]}");
    assert_int_equal(gce_operations_list(w->gce, "z", "i", &out, &err), 0);
    assert_int_equal(cJSON_GetArraySize(out), 2);
    assert_string_equal(json_str(out, "[0].name"), "done");
    assert_string_equal(json_str(out, "[1].name"), "late");
    assert_string_equal(line(w, 0), "GET " P "zones/z/operations?maxResults=500&filter="
                                    "targetLink%20eq%20.%2A%2Fi&prettyPrint=false");
}

static int count_disk(void *arg, const cJSON *disk, struct err *err)
{
    (void)err;
    strv_add(arg, json_str_or(disk, "name", ""));
    return 0;
}

static void test_disks_of_every_zone(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autostrv struct strv names = STRV_INIT;
    autostrv struct strv unreachable = STRV_INIT;

    add(w, 200,
        "{\"items\":{\"zones/a\":{\"disks\":[{\"name\":\"x\"},{\"name\":\"y\"}]},"
        "\"zones/b\":{\"warning\":{\"code\":\"NO_RESULTS_ON_PAGE\"}}},\"nextPageToken\":\"t\"}");
    add(w, 200,
        "{\"items\":{\"zones/c\":{\"warning\":{\"code\":\"UNREACHABLE\"}},"
        "\"zones/b\":{\"disks\":[{\"name\":\"z\"}]}}}");
    assert_int_equal(
        gce_disks_walk(w->gce, "labels.a=b", "name", count_disk, &names, &unreachable, &err), 0);
    autofree char *all = strv_join(&names, " ");
    assert_string_equal(all, "x y z");
    assert_int_equal(unreachable.len, 1);
    assert_string_equal(unreachable.items[0], "c");
    assert_true(strstr(line(w, 0), "aggregated/disks?") != NULL);
    assert_true(strstr(line(w, 0), "disks%28name%29") != NULL);
}

static void test_permissions(void **state)
{
    struct world *w = *state;
    autojson cJSON *out = NULL;
    autojson cJSON *none = NULL;
    autoerr struct err err = ERR_INIT;
    const char *const asked[] = {"compute.instances.get", "compute.instances.delete"};

    add(w, 200, "{\"permissions\":[\"compute.instances.get\"]}");
    add(w, 200, "{}");
    assert_int_equal(gce_instance_permissions(w->gce, "z", "7", asked, 2, &out, &err), 0);
    assert_int_equal(cJSON_GetArraySize(out), 1);
    assert_string_equal(line(w, 0),
                        "POST " P "zones/z/instances/7/testIamPermissions?prettyPrint=false");
    assert_string_equal(
        w->client.server.seen[0].body,
        "{\"permissions\":[\"compute.instances.get\",\"compute.instances.delete\"]}");
    assert_int_equal(gce_instance_permissions(w->gce, "z", "7", asked, 2, &none, &err), 0);
    assert_int_equal(cJSON_GetArraySize(none), 0);
}

/* ---- what an instance tells ---- */

static void test_serial(void **state)
{
    struct world *w = *state;
    autobuf struct buf text = BUF_INIT(20);
    autobuf struct buf little = BUF_INIT(4);
    autoerr struct err err = ERR_INIT;
    int64_t next = 0;
    int64_t lost = 0;

    add(w, 200, "{\"contents\":\"abc\\n\",\"start\":\"10\",\"next\":\"14\"}");
    assert_int_equal(gce_serial_output(w->gce, "z", "i", 2, 10, &text, &next, &lost, &err), 0);
    assert_string_equal(
        line(w, 0), "GET " P "zones/z/instances/i/serialPort?port=2&start=10&prettyPrint=false");
    assert_string_equal(text.data, "abc\n");
    assert_int_equal(next, 14);
    assert_int_equal(lost, 0);
    add(w, 200, "{\"contents\":\"xyz\",\"start\":\"100\",\"next\":\"103\"}");
    assert_int_equal(gce_serial_output(w->gce, "z", "i", 2, 14, &text, &next, &lost, &err), 0);
    assert_int_equal(lost, 86);
    assert_int_equal(next, 103);
    add(w, 200, "{\"contents\":\"abcdefgh\",\"start\":\"103\",\"next\":\"111\"}");
    assert_int_equal(gce_serial_output(w->gce, "z", "i", 2, 103, &little, &next, &lost, &err), 0);
    assert_string_equal(little.data, "abcd");
    assert_int_equal(next, 107); /* the rest comes next time */
    add(w, 200, "{\"contents\":\"\"}");
    assert_int_equal(gce_serial_output(w->gce, "z", "i", 2, 0, &text, &next, &lost, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

static void test_guest_attribute(void **state)
{
    struct world *w = *state;
    autofree char *value = NULL;
    char *none = NULL;
    autoerr struct err err = ERR_INIT;

    add(w, 200,
        "{\"queryValue\":{\"items\":[{\"namespace\":\"necoops\",\"key\":\"other\",\"value\":\"n\"},"
        "{\"namespace\":\"necoops\",\"key\":\"phase\",\"value\":\"v\"}]}}");
    assert_int_equal(gce_guest_attribute(w->gce, "z", "i", "necoops", "phase", &value, &err), 0);
    assert_string_equal(value, "v");
    assert_string_equal(line(w, 0), "GET " P "zones/z/instances/i/getGuestAttributes?queryPath="
                                    "necoops%2Fphase&prettyPrint=false");
    add(w, 200, "{}");
    assert_int_equal(gce_guest_attribute(w->gce, "z", "i", "necoops", "phase", &none, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    add(w, 404, "{\"error\":{\"message\":\"not found\"}}");
    assert_int_equal(gce_guest_attribute(w->gce, "z", "i", "necoops", "phase", &none, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* ---- the rest ---- */

static void test_resources(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    cJSON *out = NULL;

    add(w, 200, "{\"items\":[{\"name\":\"d1\"}],\"nextPageToken\":\"t\"}");
    add(w, 200, "{\"items\":[{\"name\":\"d2\"}]}");
    assert_int_equal(gce_disks_list(w->gce, "z", "labels.a=b", &out, &err), 0);
    assert_string_equal(json_str(out, "[1].name"), "d2");
    assert_string_equal(line(w, 0), "GET " P "zones/z/disks?maxResults=500&filter=labels.a%3Db"
                                    "&prettyPrint=false");
    json_freep(&out);
    add(w, 200, "{\"name\":\"img\"}");
    assert_int_equal(gce_image_from_family(w->gce, "other", "fam", &out, &err), 0);
    assert_string_equal(
        line(w, 2), "GET /compute/v1/projects/other/global/images/family/fam?prettyPrint=false");
    json_freep(&out);
    add(w, 200, "{\"name\":\"img\"}");
    assert_int_equal(gce_image_get(w->gce, "other", "img", &out, &err), 0);
    assert_string_equal(line(w, 3),
                        "GET /compute/v1/projects/other/global/images/img?prettyPrint=false");
    json_freep(&out);
    add(w, 404, "{\"error\":{\"message\":\"x\"}}");
    out = NULL;
    assert_int_equal(gce_machine_type_get(w->gce, "z", "n1", &out, &err), -1);
    assert_string_equal(err_text(&err), "machine type 'n1' in zone 'z': not found: x");
    assert_string_equal(line(w, 4), "GET " P "zones/z/machineTypes/n1?prettyPrint=false");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_get),
        TEST(test_walk),
        TEST(test_mutations),
        TEST(test_insert_is_repeated_with_its_id),
        TEST(test_wait),
        TEST(test_wait_survives_losses),
        TEST(test_wait_of_a_global_operation),
        TEST(test_wait_ends_with_the_run),
        TEST(test_wait_for_what_is_forgotten),
        TEST(test_operation_errors),
        TEST(test_operations_running),
        TEST(test_operations_list),
        TEST(test_disks_of_every_zone),
        TEST(test_permissions),
        TEST(test_serial),
        TEST(test_guest_attribute),
        TEST(test_resources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
