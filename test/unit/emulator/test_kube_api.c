/* The Kubernetes API over the wire, with requests written from its documentation, sent by curl. */
#include "kube_fixture.h"

#include <stdio.h>
#include <unistd.h>
#include "emulator/core/emulator.h"
#include "emulator/kube/core.h"
#include "necoops/base/fs.h"
#include "necoops/base/proc.h"
#include "necoops/base/run.h"
#include "necoops/base/text.h"

struct fixture {
    struct emu *emu;
    char *dir, *server, *ca, *kubeconfig;
};

struct reply {
    int status;
    cJSON *json; /* or NULL */
    char *text;
};

static char *file_in(const struct fixture *fixture, const char *name)
{
    return path_join(fixture->dir, name);
}

static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
    autofree char *path = file_in(fixture, name);
    struct err err = ERR_INIT;

    assert_int_equal(fs_write(path, text, strlen(text), 0600, &err), 0);
}

/* Where the server is, and its CA, from the kubeconfig that the seed asked for. */
static void read_kubeconfig(struct fixture *fixture)
{
    struct buf text = BUF_INIT(BUF_MEDIUM);
    struct buf ca = BUF_INIT(BUF_MEDIUM);
    struct err err = ERR_INIT;
    cJSON *config = NULL;
    const char *data;

    assert_int_equal(fs_read(fixture->kubeconfig, &text, &err), 0);
    assert_int_equal(yaml_parse_one(text.data, text.len, "kubeconfig", &config, &err), 0);
    fixture->server = strdup(json_str(config, "clusters[0].cluster.server"));
    data = json_str(config, "clusters[0].cluster.certificate-authority-data");
    assert_int_equal(base64_decode(data, strlen(data), &ca), 0);
    write_file(fixture, "ca.pem", ca.data);
    buf_reset(&ca);
    data = json_str(config, "users[0].user.client-certificate-data");
    assert_int_equal(base64_decode(data, strlen(data), &ca), 0);
    write_file(fixture, "client.pem", ca.data);
    buf_reset(&ca);
    data = json_str(config, "users[0].user.client-key-data");
    assert_int_equal(base64_decode(data, strlen(data), &ca), 0);
    write_file(fixture, "client.key", ca.data);
    fixture->ca = file_in(fixture, "ca.pem");
    buf_clear(&ca);
    buf_clear(&text);
    cJSON_Delete(config);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct err err = ERR_INIT;
    struct emu_config config = {.timing = emu_timing_default()};
    autofree char *seed_path = NULL;
    autofree char *seed = NULL;

    config.timing.cluster_boot = 0;
    config.timing.reconcile = 5;
    config.timing.rollout = 40;
    assert_int_equal(fs_make_temp_dir("/tmp", "kube-api-", &fixture->dir, &err), 0);
    fixture->kubeconfig = file_in(fixture, "kubeconfig");
    seed_path = file_in(fixture, "seed.yaml");
    seed = xasprintf("clusters: {demo: {nodes: 2, version: v1.27.16, kubeconfig: %s, tokens: "
                     "{admin-token: {user: admin, groups: ['system:masters']}, dev-token: {user: "
                     "dev}}}}",
                     fixture->kubeconfig);
    write_file(fixture, "seed.yaml", seed);
    config.seed = seed_path;
    if (emu_start(&config, &fixture->emu, &err) < 0)
        fail_msg("%s", err_text(&err));
    read_kubeconfig(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;

    emu_stop(fixture->emu);
    assert_int_equal(fs_remove_tree(fixture->dir, &err), 0);
    free(fixture->dir);
    free(fixture->server);
    free(fixture->ca);
    free(fixture->kubeconfig);
    free(fixture);
    return 0;
}

/* ---- curl ---- */

static struct reply run_curl(struct strv *argv)
{
    struct run run = {.clock = &clock_system,
                      .wake_fd = -1,
                      .deadline = RUN_NO_DEADLINE,
                      .environ = (const char *const *)environ};
    struct proc_result result = {.out = BUF_INIT(BUF_LARGE), .error = BUF_INIT(BUF_SMALL)};
    struct proc_spec spec = {.argv = (const char *const *)argv->items, .timeout_ms = 30000};
    struct err err = ERR_INIT;
    struct reply reply = {0};
    char *line;

    if (proc_run(&run, &spec, &result, &err) < 0)
        fail_msg("%s", err_text(&err));
    line = strrchr(result.out.data, '\n');
    assert_non_null(line);
    reply.status = (int)strtol(line + 1, NULL, 10);
    *line = '\0';
    reply.text = strdup(result.out.data);
    if (json_parse(reply.text, strlen(reply.text), "answer", &reply.json, &err) < 0)
        reply.json = NULL;
    err_clear(&err);
    buf_clear(&result.out);
    buf_clear(&result.error);
    return reply;
}

static void begin(struct strv *argv, const struct fixture *fixture, const char *method)
{
    static const char *const always[] = {"curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}"};

    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        strv_add(argv, always[i]);
    strv_add(argv, "--cacert");
    strv_add(argv, fixture->ca);
    strv_add(argv, "-X");
    strv_add(argv, method);
}

struct send {
    const char *token; /* NULL: the administrator's; "": none */
    const char *type;  /* Content-Type */
    const char *accept;
    const char *body;
};

static struct reply send_with(void **state, const char *method, const char *path, struct send send)
{
    const struct fixture *fixture = *state;
    CLEANUP(strv_clear) struct strv argv = STRV_INIT;
    const char *token = send.token != NULL ? send.token : "admin-token";

    begin(&argv, fixture, method);
    if (token[0] != '\0') {
        strv_add(&argv, "-H");
        strv_addf(&argv, "Authorization: Bearer %s", token);
    }
    if (send.accept != NULL) {
        strv_add(&argv, "-H");
        strv_addf(&argv, "Accept: %s", send.accept);
    }
    if (send.body != NULL) {
        strv_add(&argv, "-H");
        strv_addf(&argv, "Content-Type: %s", send.type != NULL ? send.type : "application/json");
        strv_add(&argv, "--data-binary");
        strv_add(&argv, send.body);
    }
    strv_addf(&argv, "%s%s", fixture->server, path);
    return run_curl(&argv);
}

static void drop(struct reply reply)
{
    cJSON_Delete(reply.json);
    free(reply.text);
}

/* Sends, and compares the status and a string of the answer. */
static void expect(void **state, const char *method, const char *path, struct send send, int status,
                   const char *at, const char *value)
{
    struct reply reply = send_with(state, method, path, send);

    if (reply.status != status)
        fail_msg("%s %s: %d instead of %d: %s", method, path, reply.status, status, reply.text);
    if (at != NULL)
        assert_string_equal(json_str_or(reply.json, at, reply.text), value);
    drop(reply);
}

#define GET(path, status, at, value) expect(state, "GET", path, (struct send){0}, status, at, value)
#define POST(path, json, status, at, value)                                                        \
    expect(state, "POST", path, (struct send){.body = json}, status, at, value)

static void make_namespace(void **state, const char *name)
{
    autofree char *body = xasprintf(
        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\"}}", name);

    POST("/api/v1/namespaces", body, 201, "status.phase", "Active");
}

/* GETs until the string at this place is the wanted one ("": until it is 404). */
static void await(void **state, const char *path, const char *at, const char *value)
{
    for (int i = 0; i < 200; i++) {
        struct timespec pause = {.tv_nsec = 20000000};
        struct reply reply = send_with(state, "GET", path, (struct send){0});
        bool done =
            value[0] == '\0' ? reply.status == 404 : str_equal(json_str(reply.json, at), value);

        drop(reply);
        if (done)
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("%s never got %s = %s", path, at, value);
}

/* ---- who ---- */

static void asks_who_it_is(void **state)
{
    const struct fixture *fixture = *state;
    CLEANUP(strv_clear) struct strv argv = STRV_INIT;
    struct send nobody = {.token = ""};
    struct send wrong = {.token = "wrong"};
    struct reply reply;

    expect(state, "GET", "/readyz", nobody, 200, "", "ok");
    expect(state, "GET", "/version", nobody, 200, "gitVersion", "v1.27.16");
    expect(state, "GET", "/apis", nobody, 403, "message",
           "forbidden: User \"system:anonymous\" cannot get path \"/apis\"");
    expect(
        state, "GET", "/api/v1/pods", nobody, 403, "message",
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group "
        "\"\" at the cluster scope");
    expect(state, "GET", "/readyz", wrong, 401, "message", "Unauthorized");
    /* The administrator's certificate. */
    begin(&argv, fixture, "GET");
    strv_add(&argv, "--cert");
    strv_take(&argv, file_in(fixture, "client.pem"));
    strv_add(&argv, "--key");
    strv_take(&argv, file_in(fixture, "client.key"));
    strv_addf(&argv, "%s/api/v1/nodes", fixture->server);
    reply = run_curl(&argv);
    assert_int_equal(reply.status, 200);
    assert_int_equal(cJSON_GetArraySize(json_at(reply.json, "items")), 2);
    drop(reply);
}

static void roles_decide(void **state)
{
    struct send dev = {.token = "dev-token"};
    struct send patch = {.token = "dev-token",
                         .type = "application/merge-patch+json",
                         .body = "{\"data\":{\"a\":\"b\"}}"};

    make_namespace(state, "team");
    expect(
        state, "PATCH", "/api/v1/namespaces/team/configmaps/x", patch, 403, "message",
        "configmaps \"x\" is forbidden: User \"dev\" cannot patch resource \"configmaps\" in API "
        "group \"\" in the namespace \"team\"");
    POST("/apis/rbac.authorization.k8s.io/v1/namespaces/team/rolebindings",
         "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",\"metadata\":{"
         "\"name\":\"dev\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":"
         "\"ClusterRole\",\"name\":\"edit\"},\"subjects\":[{\"kind\":\"User\",\"name\":\"dev\"}]}",
         201, "subjects[0].apiGroup", "rbac.authorization.k8s.io");
    expect(state, "PATCH", "/api/v1/namespaces/team/configmaps/x", patch, 404, "reason",
           "NotFound");
    expect(state, "GET", "/api/v1/namespaces/team/pods", dev, 200, "kind", "PodList");
    expect(state, "GET", "/api/v1/namespaces/default/pods", dev, 403, "reason", "Forbidden");
}

static void tokens_are_handed_out(void **state)
{
    struct reply reply;
    struct send send = {0};

    make_namespace(state, "tokens");
    await(state, "/api/v1/namespaces/tokens/serviceaccounts/default", "metadata.name", "default");
    reply = send_with(state, "POST", "/api/v1/namespaces/tokens/serviceaccounts/default/token",
                      (struct send){.body = "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":"
                                            "\"TokenRequest\",\"spec\":{}}"});
    assert_int_equal(reply.status, 201);
    send.token = json_str(reply.json, "status.token");
    expect(state, "GET", "/api/v1/namespaces/tokens/pods", send, 403, "message",
           "pods is forbidden: User \"system:serviceaccount:tokens:default\" cannot list resource "
           "\"pods\" in API group \"\" in the namespace \"tokens\"");
    drop(reply);
}

/* ---- writing ---- */

#define CONFIG(name, data)                                                                         \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name                 \
    "\"},\"data\":" data "}"

static void writes_as_documented(void **state)
{
    const char *maps = "/api/v1/namespaces/writes/configmaps";
    const char *map = "/api/v1/namespaces/writes/configmaps/c";
    struct send put = {.body = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{"
                               "\"name\":\"c\",\"resourceVersion\":\"1\"}}"};
    struct send strategic = {.type = "application/strategic-merge-patch+json",
                             .body = "{\"data\":{\"b\":\"2\"}}"};
    struct send json = {.type = "application/json-patch+json",
                        .body = "[{\"op\":\"test\",\"path\":\"/data/a\",\"value\":\"9\"}]"};

    POST(maps, CONFIG("c", "{}"), 404, "message", "namespaces \"writes\" not found");
    make_namespace(state, "writes");
    POST(maps, CONFIG("c", "{\"a\":\"1\"}"), 201, "data.a", "1");
    POST(maps, CONFIG("c", "{}"), 409, "message", "configmaps \"c\" already exists");
    POST(maps, CONFIG("c", "{}"), 409, "reason", "AlreadyExists");
    POST(maps, CONFIG("C_", "{}"), 422, "details.causes[0].field", "metadata.name");
    POST(maps, "{\"kind\":", 400, "reason", "BadRequest");
    POST(maps, "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"c\"}}", 400,
         "reason", "BadRequest");
    expect(state, "POST", maps, (struct send){.type = "text/plain", .body = "x"}, 415, "reason",
           "UnsupportedMediaType");
    GET("/api/v1/namespaces/writes/configmaps/none", 404, "message",
        "configmaps \"none\" not found");
    GET("/api/v1/namespaces/writes/things", 404, "message",
        "the server could not find the requested resource");
    expect(
        state, "PUT", map, put, 409, "message",
        "Operation cannot be fulfilled on configmaps \"c\": the object has been modified; please "
        "apply your changes to the latest version and try again");
    expect(state, "PATCH", map, strategic, 200, "data.b", "2");
    expect(state, "PATCH", map, json, 422, "reason", "Invalid");
    expect(state, "DELETE", map, (struct send){0}, 200, "status", "Success");
    expect(state, "DELETE", map, (struct send){0}, 404, "reason", "NotFound");
}

static void dry_runs_write_nothing(void **state)
{
    make_namespace(state, "dry");
    POST("/api/v1/namespaces/dry/configmaps?dryRun=All", CONFIG("c", "{}"), 201, "metadata.name",
         "c");
    GET("/api/v1/namespaces/dry/configmaps/c", 404, "reason", "NotFound");
    POST("/api/v1/namespaces/dry/configmaps?dryRun=Some", CONFIG("c", "{}"), 422, "reason",
         "Invalid");
}

static void applies_as_documented(void **state)
{
    const char *path = "/api/v1/namespaces/applies/configmaps/c";
    struct send one = {.type = "application/apply-patch+yaml",
                       .body = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {k: "
                               "'1'}}"};
    struct send two = {.type = "application/apply-patch+yaml",
                       .body = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {k: "
                               "'2'}}"};
    struct send managed = {.type = "application/apply-patch+yaml",
                           .body = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, "
                                   "managedFields: []}}"};
    autofree char *as_a = xasprintf("%s?fieldManager=a", path);
    autofree char *as_b = xasprintf("%s?fieldManager=b", path);
    autofree char *forced = xasprintf("%s?fieldManager=b&force=true", path);

    make_namespace(state, "applies");
    expect(
        state, "PATCH", path, one, 422, "message",
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for "
        "apply patch");
    expect(state, "PATCH", as_a, managed, 400, "message", "metadata.managedFields must be nil");
    expect(state, "PATCH", as_a, one, 201, "data.k", "1");
    expect(state, "PATCH", as_a, one, 200, "data.k", "1");
    expect(state, "PATCH", as_b, two, 409, "details.causes[0].reason", "FieldManagerConflict");
    expect(state, "PATCH", as_b, two, 409, "details.causes[0].field", ".data.k");
    expect(state, "PATCH", forced, two, 200, "data.k", "2");
}

/* ---- custom resources ---- */

static void custom_resources_work(void **state)
{
    const char *list = "/apis/demo.io/v1/namespaces/custom/widgets";
    const char *one = "/apis/demo.io/v1/namespaces/custom/widgets/w";
    struct send strategic = {.type = "application/strategic-merge-patch+json", .body = "{}"};
    struct send put = {.body = "{\"apiVersion\":\"demo.io/v1\",\"kind\":\"Widget\",\"metadata\":{"
                               "\"name\":\"w\"},\"spec\":{\"size\":1}}"};

    make_namespace(state, "custom");
    GET(list, 404, "", "404 page not found\n");
    POST("/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
         "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\","
         "\"metadata\":{\"name\":\"widgets.demo.io\"},\"spec\":{\"group\":\"demo.io\",\"scope\":"
         "\"Namespaced\",\"names\":{\"plural\":\"widgets\",\"kind\":\"Widget\"},\"versions\":[{"
         "\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{"
         "\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{"
         "\"size\":{\"type\":\"integer\"}}}}}}}]}}",
         201, "spec.names.listKind", "WidgetList");
    await(state, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.demo.io",
          "status.conditions[1].type", "Established");
    GET("/apis/demo.io/v1", 200, "resources[0].name", "widgets");
    POST(list, put.body, 201, "kind", "Widget");
    expect(state, "PUT", one, put, 422, "message",
           "Widget.demo.io \"w\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be "
           "specified for an update");
    expect(state, "PATCH", one, strategic, 415, "reason", "UnsupportedMediaType");
    POST("/apis/demo.io/v1/namespaces/custom/widgets?fieldValidation=Strict",
         "{\"apiVersion\":\"demo.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"v\"},"
         "\"spec\":{\"colour\":\"red\"}}",
         400, "message",
         "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown "
         "field \"spec.colour\"");
    expect(state, "DELETE",
           "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.demo.io",
           (struct send){0}, 200, "kind", "CustomResourceDefinition");
    await(state, one, "", "");
}

/* ---- lists ---- */

static void lists_in_pages(void **state)
{
    const char *maps = "/api/v1/namespaces/pages/configmaps";
    struct reply reply;
    autofree char *next = NULL;

    make_namespace(state, "pages");
    POST(maps, CONFIG("a", "{}"), 201, NULL, NULL);
    POST(maps, CONFIG("b", "{}"), 201, NULL, NULL);
    await(state, "/api/v1/namespaces/pages/configmaps/kube-root-ca.crt", "kind", "ConfigMap");
    reply =
        send_with(state, "GET", "/api/v1/namespaces/pages/configmaps?limit=2", (struct send){0});
    assert_int_equal(cJSON_GetArraySize(json_at(reply.json, "items")), 2);
    assert_string_equal(json_str(reply.json, "items[0].metadata.name"), "a");
    /* Items of built-in lists do not say what they are. */
    assert_null(json_at(reply.json, "items[0].kind"));
    next = xasprintf("/api/v1/namespaces/pages/configmaps?limit=2&continue=%s",
                     json_str(reply.json, "metadata.continue"));
    drop(reply);
    reply = send_with(state, "GET", next, (struct send){0});
    assert_int_equal(cJSON_GetArraySize(json_at(reply.json, "items")), 1);
    assert_string_equal(json_str(reply.json, "items[0].metadata.name"), "kube-root-ca.crt");
    assert_null(json_at(reply.json, "metadata.continue"));
    drop(reply);
    GET("/api/v1/namespaces/pages/configmaps?continue=zzz", 400, "message",
        "continue key is not valid");
    GET("/api/v1/namespaces/pages/configmaps?fieldSelector=metadata.name%3Db", 200,
        "items[0].metadata.name", "b");
    GET("/api/v1/namespaces/pages/configmaps?fieldSelector=data.a%3Db", 400, "reason",
        "BadRequest");
    expect(state, "GET", maps,
           (struct send){.accept = "application/json;as=Table;v=v1;g=meta.k8s.io"}, 200,
           "columnDefinitions[1].name", "Data");
    expect(state, "GET", maps, (struct send){.accept = "text/html"}, 406, "reason",
           "NotAcceptable");
}

/* ---- watches ---- */

/* The `type` and the name of each event, one a line. */
static char *watch(void **state, const char *path)
{
    struct reply reply = send_with(state, "GET", path, (struct send){0});
    struct buf out = BUF_INIT(BUF_SMALL);
    char *line = reply.text;

    assert_int_equal(reply.status, 200);
    while (*line != '\0') {
        size_t len = strcspn(line, "\n");
        struct err err = ERR_INIT;
        cJSON *event = NULL;

        if (json_parse(line, len, "event", &event, &err) < 0)
            fail_msg("%s: %s", err_text(&err), line);
        buf_addf(
            &out, "%s %s\n", json_str(event, "type"),
            json_str_or(event, "object.metadata.name", json_str_or(event, "object.reason", "")));
        cJSON_Delete(event);
        line += len + (line[len] == '\n');
    }
    drop(reply);
    return buf_steal(&out);
}

static void watches_with_selectors(void **state)
{
    const char *maps = "/api/v1/namespaces/watches/configmaps";
    struct send relabel = {.type = "application/merge-patch+json",
                           .body = "{\"metadata\":{\"labels\":{\"in\":\"no\"}}}"};
    struct reply reply;
    autofree char *path = NULL;
    autofree char *events = NULL;
    autofree char *old = NULL;

    make_namespace(state, "watches");
    reply = send_with(state, "GET", maps, (struct send){0});
    path = xasprintf("%s?watch=1&timeoutSeconds=1&labelSelector=in%%3Dyes&resourceVersion=%s", maps,
                     json_str(reply.json, "metadata.resourceVersion"));
    drop(reply);
    POST(maps,
         "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"labels\":{"
         "\"in\":\"yes\"}}}",
         201, NULL, NULL);
    POST(maps, CONFIG("other", "{}"), 201, NULL, NULL);
    expect(state, "PATCH", "/api/v1/namespaces/watches/configmaps/c", relabel, 200, NULL, NULL);
    events = watch(state, path);
    assert_string_equal(events, "ADDED c\nDELETED c\n");
    old = watch(state, "/api/v1/namespaces?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3D"
                       "watches");
    assert_string_equal(old, "ADDED watches\n");
}

static void versions_of_the_future_are_refused(void **state)
{
    GET("/api/v1/namespaces?watch=1&resourceVersion=99999999", 504, "reason", "Timeout");
    GET("/api/v1/namespaces?resourceVersion=99999999", 504, "reason", "Timeout");
    GET("/api/v1/namespaces?watch=1&resourceVersion=x", 400, "reason", "BadRequest");
}

/* ---- what controllers do ---- */

#define DEPLOYMENT(name, image)                                                                    \
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"" name "\"},"    \
    "\"spec\":{\"replicas\":2,\"progressDeadlineSeconds\":1,\"selector\":{\"matchLabels\":{\"a\":" \
    "\"" name "\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"" name "\"}},\"spec\":{"       \
    "\"containers\":[{\"name\":\"c\",\"image\":\"" image "\"}]}}}}"

static void workloads_get_healthy_or_not(void **state)
{
    const char *list = "/apis/apps/v1/namespaces/work/deployments";
    struct reply reply;

    make_namespace(state, "work");
    POST(list, DEPLOYMENT("good", "nginx:1"), 201, NULL, NULL);
    POST(list, DEPLOYMENT("bad", "registry.invalid/nginx:1"), 201, NULL, NULL);
    await(state, "/apis/apps/v1/namespaces/work/deployments/good", "status.conditions[1].reason",
          "NewReplicaSetAvailable");
    reply =
        send_with(state, "GET", "/apis/apps/v1/namespaces/work/deployments/good", (struct send){0});
    assert_int_equal(json_at(reply.json, "status.availableReplicas")->valueint, 2);
    assert_int_equal(json_at(reply.json, "status.observedGeneration")->valueint, 1);
    drop(reply);
    await(state, "/apis/apps/v1/namespaces/work/deployments/bad", "status.conditions[1].reason",
          "ProgressDeadlineExceeded");
    reply = send_with(state, "GET", "/api/v1/namespaces/work/events?fieldSelector=reason%3DFailed",
                      (struct send){0});
    assert_non_null(strstr(reply.text, "Failed to pull image \\\"registry.invalid/nginx:1\\\""));
    drop(reply);
    GET("/apis/apps/v1/namespaces/work/deployments/good/scale", 200, "kind", "Scale");
    reply = send_with(state, "GET", "/api/v1/namespaces/work/pods?labelSelector=a%3Dgood",
                      (struct send){0});
    {
        autofree char *log = xasprintf("/api/v1/namespaces/work/pods/%s/log?tailLines=1",
                                       json_str(reply.json, "items[0].metadata.name"));
        GET(log, 200, "", "ready\n");
    }
    drop(reply);
}

static void namespaces_are_emptied(void **state)
{
    make_namespace(state, "gone");
    POST("/api/v1/namespaces/gone/configmaps",
         "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"held\","
         "\"finalizers\":[\"a.b/c\"]}}",
         201, NULL, NULL);
    expect(state, "DELETE", "/api/v1/namespaces/gone", (struct send){0}, 200, "status.phase",
           "Terminating");
    POST("/api/v1/namespaces/gone/configmaps", CONFIG("late", "{}"), 403, "message",
         "configmaps \"late\" is forbidden: unable to create new content in namespace gone because "
         "it is being terminated");
    await(state, "/api/v1/namespaces/gone", "status.conditions[1].reason", "SomeFinalizersRemain");
    expect(state, "PATCH", "/api/v1/namespaces/gone/configmaps/held",
           (struct send){.type = "application/merge-patch+json",
                         .body = "{\"metadata\":{\"finalizers\":null}}"},
           200, NULL, NULL);
    await(state, "/api/v1/namespaces/gone", "", "");
    expect(state, "DELETE", "/api/v1/namespaces/default", (struct send){0}, 403, "message",
           "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

static void leases_change_hands(void **state)
{
    const char *list = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    struct send blind = {.body =
                             "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\","
                             "\"metadata\":{\"name\":\"l\"},\"spec\":{\"holderIdentity\":\"b\"}}"};
    struct reply reply;

    POST(list,
         "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":"
         "\"l\"},\"spec\":{\"holderIdentity\":\"a\",\"leaseDurationSeconds\":15}}",
         201, "spec.holderIdentity", "a");
    expect(state, "PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", blind, 422,
           "reason", "Invalid");
    reply = send_with(state, "GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l",
                      (struct send){0});
    json_set_str(cJSON_GetObjectItem(reply.json, "spec"), "holderIdentity", "b");
    {
        autofree char *body = json_print(reply.json);

        expect(state, "PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l",
               (struct send){.body = body}, 200, "spec.holderIdentity", "b");
        expect(state, "PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l",
               (struct send){.body = body}, 409, "reason", "Conflict");
    }
    drop(reply);
    POST(list,
         "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":"
         "\"m\"},\"spec\":{\"leaseDurationSeconds\":0}}",
         422, "details.causes[0].field", "spec.leaseDurationSeconds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_who_it_is),
        cmocka_unit_test(roles_decide),
        cmocka_unit_test(tokens_are_handed_out),
        cmocka_unit_test(writes_as_documented),
        cmocka_unit_test(dry_runs_write_nothing),
        cmocka_unit_test(applies_as_documented),
        cmocka_unit_test(custom_resources_work),
        cmocka_unit_test(lists_in_pages),
        cmocka_unit_test(watches_with_selectors),
        cmocka_unit_test(versions_of_the_future_are_refused),
        cmocka_unit_test(workloads_get_healthy_or_not),
        cmocka_unit_test(namespaces_are_emptied),
        cmocka_unit_test(leases_change_hands),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
