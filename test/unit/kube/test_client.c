#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "../support/client.h"
#include "../support/repository.h"
#include "necoops/kube/client.h"
#include "necoops/kube/lock.h"
#include "necoops/kube/watch.h"

struct world {
    struct client client;
    struct kube *kube;
};

static void connect_as(struct world *w, const char *user)
{
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;
    autofree char *text =
        xasprintf("{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], "
                  "clusters: [{name: c, cluster: {server: '%s'}}], users: [{name: u, user: %s}]}",
                  w->client.server.url, user);

    kube_free(w->kube);
    w->kube = NULL;
    assert_int_equal(kubeconfig_parse(text, strlen(text), "conf", "/", NULL, &config, &err), 0);
    assert_int_equal(kube_new(w->client.http, &config, &w->kube, &err), 0);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    client_start(&w->client);
    client_setenv(&w->client, "PATH", "/usr/bin:/bin");
    connect_as(w, "{token: secret}");
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    kube_free(w->kube);
    client_stop(&w->client);
    free(w);
    return 0;
}

static const char *head(struct world *w, int n)
{
    return w->client.server.seen[n].text;
}

/* ---- a lock seen from outside ---- */

static void test_a_lock_is_looked_at(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *lease = NULL;

    client_answer(
        &w->client, 200,
        "{\"metadata\":{\"annotations\":{\"necoops.io/holder\":"
        "\"{\\\"id\\\":\\\"1\\\",\\\"name\\\":\\\"a@b\\\",\\\"commit\\\":\\\"c\\\"}\","
        "\"necoops.io/queue\":\"[{\\\"name\\\":\\\"q\\\"}]\"}},"
        "\"spec\":{\"holderIdentity\":\"1\",\"acquireTime\":\"t1\",\"renewTime\":\"t2\"}}");
    assert_int_equal(kube_lock_look(w->kube, "argocd", "x", &lease, &err), 0);
    assert_string_equal(json_str(lease, "holder.name"), "a@b");
    assert_string_equal(json_str(lease, "holder.commit"), "c");
    assert_null(json_str(lease, "holder.id"));
    assert_string_equal(json_str(lease, "since"), "t1");
    assert_string_equal(json_str(lease, "renewed"), "t2");
    assert_string_equal(json_str(lease, "queue[0].name"), "q");
    assert_string_equal(server_line(&w->client.server, 0),
                        "GET /apis/coordination.k8s.io/v1/namespaces/argocd/leases/x");
}

static void test_a_lock_that_nobody_has(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *lease = NULL;

    client_answer(&w->client, 404, "{\"kind\":\"Status\",\"reason\":\"NotFound\"}");
    assert_int_equal(kube_lock_look(w->kube, "argocd", "x", &lease, &err), 0);
    assert_null(lease);
    client_answer(&w->client, 200,
                  "{\"metadata\":{\"annotations\":{\"necoops.io/queue\":\"no JSON\"}},"
                  "\"spec\":{\"holderIdentity\":\"\"}}");
    assert_int_equal(kube_lock_look(w->kube, "argocd", "x", &lease, &err), 0);
    assert_null(json_at(lease, "holder"));
    assert_int_equal(cJSON_GetArraySize(json_at(lease, "queue")), 0);
}

/* ---- calls ---- */

static void test_a_patch_goes_out_as_asked(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *body = json_object();
    autojson cJSON *answer = NULL;

    json_set_str(body, "a", "b");
    client_answer(&w->client, 200, "{\"kind\":\"X\"}");
    struct kube_call call = {.method = "PATCH",
                             .path = "/apis/g/v1/things/x?fieldManager=necoops",
                             .patch = KUBE_PATCH_MERGE,
                             .body = body,
                             .what = "thing 'x'"};
    assert_int_equal(kube_call(w->kube, &call, &answer, &err), 0);
    assert_string_equal(json_str(answer, "kind"), "X");
    assert_string_equal(w->client.server.seen[0].body, "{\"a\":\"b\"}");
    assert_non_null(strstr(head(w, 0), "PATCH /apis/g/v1/things/x?fieldManager=necoops HTTP/1.1"));
    assert_non_null(strcasestr(head(w, 0), "content-type: application/merge-patch+json"));
    assert_non_null(strcasestr(head(w, 0), "authorization: Bearer secret"));
    assert_null(strstr(client_log(&w->client), "secret"));
}

static void test_errors_are_told_in_the_servers_words(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum err_code code;
        const char *text;
    } answers[] = {
        {404,
         "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"things \\\"x\\\" not found\"}",
         ERR_NOT_FOUND, "thing 'x': things \"x\" not found (404 NotFound)"},
        {409, "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"modified\"}",
         ERR_CONFLICT, "modified"},
        {409, "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"there\"}",
         ERR_EXISTS, "there"},
        {403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"User x cannot get\"}",
         ERR_DENIED, "User x cannot get"},
        {422, "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"bad\"}", ERR_INVALID,
         "bad"},
        {410, "{\"kind\":\"Status\",\"reason\":\"Expired\",\"message\":\"too old\"}", ERR_GONE,
         "too old"},
        {400, "<html>proxy</html>", ERR_INVALID, "is not from a Kubernetes API server"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        autoerr struct err err = ERR_INIT;

        client_answer(&w->client, answers[i].status, answers[i].body);
        assert_int_equal(kube_get(w->kube, "/api/v1/things/x", "thing 'x'", NULL, &err), -1);
        assert_int_equal(err.code, answers[i].code);
        assert_int_equal(err.http_status, answers[i].status);
        if (!strstr(err_text(&err), answers[i].text)) {
            fail_msg("'%s' does not say '%s'", err_text(&err), answers[i].text);
        }
    }
}

static void test_an_answer_that_is_no_json(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autojson cJSON *answer = NULL;

    client_answer(&w->client, 200, "{\"kind\":");
    assert_int_equal(kube_get(w->kube, "/version", "the API server", &answer, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
    assert_null(answer);
}

static void test_credentials_never_go_out_in_the_clear(void **state)
{
    autokubeconfig struct kubeconfig config = {.server = xstrdup("http://api.example.com"),
                                               .token = xstrdup("secret")};
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    struct kube *kube = NULL;

    assert_int_equal(kube_new(w->client.http, &config, &kube, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err_text(&err), "must be https"));
    assert_null(strstr(err_text(&err), "secret"));
}

/* ---- credentials ---- */

static void test_a_token_file_is_read_each_time(void **state)
{
    struct world *w = *state;
    struct repository folder;
    autoerr struct err err = ERR_INIT;

    repository_make(&folder);
    repository_write(&folder, "token", "first\n");
    autofree char *user = xasprintf("{tokenFile: %s/token, token: old}", folder.dir);
    connect_as(w, user);
    client_answer(&w->client, 200, "{}");
    client_answer(&w->client, 200, "{}");
    assert_int_equal(kube_get(w->kube, "/version", "x", NULL, &err), 0);
    repository_write(&folder, "token", "second");
    assert_int_equal(kube_get(w->kube, "/version", "x", NULL, &err), 0);
    assert_non_null(strcasestr(head(w, 0), "Bearer first\r\n"));
    assert_non_null(strcasestr(head(w, 1), "Bearer second\r\n"));
    repository_remove(&folder);
}

static void test_impersonation_and_basic(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    connect_as(w, "{username: u, password: p, as: jane, as-groups: [dev]}");
    client_answer(&w->client, 200, "{}");
    assert_int_equal(kube_get(w->kube, "/version", "x", NULL, &err), 0);
    assert_non_null(strcasestr(head(w, 0), "authorization: Basic dTpw"));
    assert_non_null(strcasestr(head(w, 0), "impersonate-user: jane"));
    assert_non_null(strcasestr(head(w, 0), "impersonate-group: dev"));
}

#define PLUGIN(version, script)                                                                    \
    "{exec: {apiVersion: client.authentication.k8s.io/" version                                    \
    ", command: sh, args: [-c, '" script                                                           \
    "'], env: [{name: ASKED, value: \"yes\"}], installHint: install it}}"
#define CREDENTIAL(version, token)                                                                 \
    "echo \"{\\\"apiVersion\\\":\\\"client.authentication.k8s.io/" version                         \
    "\\\",\\\"kind\\\":\\\"ExecCredential\\\",\\\"status\\\":{\\\"token\\\":\\\"" token "\\\"}}\""

static void test_a_plugin_is_asked_once(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    connect_as(w,
               PLUGIN("v1beta1", CREDENTIAL("v1beta1", "$ASKED-$(echo $KUBERNETES_EXEC_INFO | wc "
                                                       "-w)-$$")));
    client_answer(&w->client, 200, "{}");
    client_answer(&w->client, 200, "{}");
    assert_int_equal(kube_get(w->kube, "/version", "x", NULL, &err), 0);
    assert_int_equal(kube_get(w->kube, "/version", "x", NULL, &err), 0);
    const char *first = strcasestr(head(w, 0), "Bearer yes-1-");
    const char *second = strcasestr(head(w, 1), "Bearer yes-1-");
    assert_non_null(first);
    assert_non_null(second);
    assert_memory_equal(first, second, strcspn(first, "\r"));
}

static void test_a_refused_plugin_token_is_renewed(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;

    connect_as(w, PLUGIN("v1", CREDENTIAL("v1", "t-$$")));
    client_answer(&w->client, 401, "{\"kind\":\"Status\",\"reason\":\"Unauthorized\"}");
    client_answer(&w->client, 200, "{}");
    assert_int_equal(kube_get(w->kube, "/version", "x", NULL, &err), 0);
    const char *first = strcasestr(head(w, 0), "Bearer t-");
    const char *second = strcasestr(head(w, 1), "Bearer t-");
    assert_string_not_equal(first, second);
}

static void test_plugins_that_fail(void **state)
{
    static const struct {
        const char *user, *error;
    } plugins[] = {
        {PLUGIN("v1", "echo no login >&2; exit 3"), "credential plugin 'sh'"},
        {PLUGIN("v1", "echo nonsense"), "credential plugin"},
        {PLUGIN("v1", CREDENTIAL("v1beta1", "t")), "answered no ExecCredential"},
        {PLUGIN("v1alpha1", "true"), "are not understood"},
        {"{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, "
         "installHint: "
         "get it there}}",
         "credential plugin 'no-such-plugin' is not installed: get it there"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(plugins); i++) {
        autoerr struct err err = ERR_INIT;

        connect_as(w, plugins[i].user);
        assert_int_equal(kube_get(w->kube, "/version", "x", NULL, &err), -1);
        if (!strstr(err_text(&err), plugins[i].error)) {
            fail_msg("'%s' does not say '%s'", err_text(&err), plugins[i].error);
        }
    }
}

/* ---- lists ---- */

static int collect(void *arg, const cJSON *item, struct err *err)
{
    (void)err;
    strv_add(arg, json_str_or(item, "metadata.name", "?"));
    return 0;
}

static void test_a_list_comes_in_pages(void **state)
{
    struct world *w = *state;
    autoerr struct err err = ERR_INIT;
    autostrv struct strv names = STRV_INIT;
    autofree char *version = NULL;

    client_answer(&w->client, 200,
                  "{\"kind\":\"ThingList\",\"metadata\":{\"resourceVersion\":\"5\",\"continue\":"
                  "\"a/b=\"},\"items\":[{\"metadata\":{\"name\":\"one ] } \\\" \\\\\"}},"
                  "{\"metadata\":{\"name\":\"two\"},\"items\":[{\"x\":[1]}]}]}");
    client_answer(&w->client, 200,
                  "{\"items\" : [ {\"metadata\":{\"name\":\"three\"}} ] , \"kind\":\"ThingList\","
                  "\"metadata\":{\"resourceVersion\":\"5\"}}");
    assert_int_equal(
        kube_list(w->kube, "/api/v1/things?x=y", "things", collect, &names, &version, &err), 0);
    autofree char *joined = strv_join(&names, ",");
    assert_string_equal(joined, "one ] } \" \\,two,three");
    assert_string_equal(version, "5");
    assert_non_null(strstr(head(w, 0), "GET /api/v1/things?x=y&limit=500 "));
    assert_non_null(strstr(head(w, 1), "&continue=a%2Fb%3D "));
}

static void test_what_is_no_list_is_refused(void **state)
{
    static const char *const answers[] = {"{\"kind\":\"Thing\"}", "[]", "{\"items\":[{\"a\":1}",
                                          "{\"kind\":\"ThingList\",\"items\":[{\"a\":}]}"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        autoerr struct err err = ERR_INIT;
        autostrv struct strv names = STRV_INIT;

        client_answer(&w->client, 200, answers[i]);
        assert_int_equal(kube_list(w->kube, "/x", "things", collect, &names, NULL, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
    }
}

/* ---- watches ---- */

struct watched {
    struct strv seen;
    int synced;
    struct err failed;
};

static void on_object(void *arg, const cJSON *object)
{
    struct watched *watched = arg;

    strv_addf(&watched->seen, "%s@%s", json_str_or(object, "metadata.name", "?"),
              json_str_or(object, "metadata.resourceVersion", "?"));
}

static void on_deleted(void *arg, const char *space, const char *name)
{
    struct watched *watched = arg;

    strv_addf(&watched->seen, "-%s/%s", space, name);
}

static void on_synced(void *arg)
{
    struct watched *watched = arg;

    watched->synced++;
    strv_add(&watched->seen, "synced");
}

static void on_failed(void *arg, struct err *err)
{
    struct watched *watched = arg;

    err_move(&watched->failed, err);
}

/* Until so many things were seen, it failed, or two seconds went by. */
static void watch_until(struct world *w, struct kube_watch *watch, struct watched *watched,
                        size_t count)
{
    autoerr struct err err = ERR_INIT;
    int64_t until = run_mono_ms(&w->client.run) + 2000;

    while (watched->seen.len < count && watched->failed.code == ERR_NONE &&
           run_mono_ms(&w->client.run) < until) {
        kube_watch_tick(watch);
        assert_int_equal(http_drive(w->client.http, kube_watch_due_ms(watch, 50), -1, "test", &err),
                         0);
    }
}

static struct kube_watch *watch_things(struct world *w, struct watched *watched)
{
    struct kube_watch_handler handler = {on_object, on_deleted, on_synced, on_failed, watched};

    return kube_watch_start(w->kube, "/api/v1/things", "app in (x)", "things", &handler);
}

#define ITEM(name, version)                                                                        \
    "{\"metadata\":{\"namespace\":\"n\",\"name\":\"" name "\",\"resourceVersion\":\"" version "\"" \
    "}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" ITEM(name, version) "}\n"
#define LIST(version, items)                                                                       \
    "{\"kind\":\"ThingList\",\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items \
    "]}"

static void expect_seen(const struct watched *watched, const char *wanted)
{
    autofree char *joined = strv_join(&watched->seen, " ");

    assert_string_equal(joined, wanted);
}

static void test_a_watch_follows_the_list_and_goes_on_after_an_end(void **state)
{
    struct world *w = *state;
    struct watched watched = {.seen = STRV_INIT};

    client_answer(&w->client, 200, LIST("10", ITEM("a", "9")));
    client_answer(&w->client, 200,
                  EVENT("ADDED", "b", "11") EVENT("MODIFIED", "a", "12") EVENT("DELETED", "b", "13")
                      EVENT("BOOKMARK", "", "20"));
    client_answer(&w->client, 200, EVENT("MODIFIED", "a", "21"));
    struct kube_watch *watch = watch_things(w, &watched);
    watch_until(w, watch, &watched, 6);
    expect_seen(&watched, "a@9 synced b@11 a@12 -n/b a@21");
    assert_non_null(
        strstr(head(w, 0), "/api/v1/things?labelSelector=app%20in%20%28x%29&limit=500 "));
    assert_non_null(strstr(head(w, 1), "?watch=1&allowWatchBookmarks=true&resourceVersion=10&"));
    assert_non_null(strstr(head(w, 2), "&resourceVersion=20&"));
    assert_null(kube_watch_trouble(watch));
    kube_watch_free(watch);
    strv_clear(&watched.seen);
}

static void test_a_version_too_old_lists_again(void **state)
{
    struct world *w = *state;
    struct watched watched = {.seen = STRV_INIT};

    client_answer(&w->client, 200, LIST("10", ITEM("a", "9") "," ITEM("b", "9")));
    client_answer(&w->client, 200,
                  "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":"
                  "\"Expired\",\"message\":\"too old\"}}\n");
    client_answer(&w->client, 200, LIST("30", ITEM("b", "29")));
    client_answer(&w->client, 410,
                  "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Gone\",\"message\":\"too old\"}");
    client_answer(&w->client, 200, LIST("40", ITEM("b", "29") "," ITEM("c", "39")));
    struct kube_watch *watch = watch_things(w, &watched);
    watch_until(w, watch, &watched, 7);
    expect_seen(&watched, "a@9 b@9 synced b@29 -n/a b@29 c@39");
    kube_watch_free(watch);
    strv_clear(&watched.seen);
}

static void test_a_cut_watch_is_taken_up_again(void **state)
{
    struct world *w = *state;
    struct watched watched = {.seen = STRV_INIT};

    client_answer(&w->client, 200, LIST("10", ""));
    server_add(&w->client.server,
               (struct step){.status = 200,
                             .body = EVENT("ADDED", "a", "11") EVENT("ADDED", "b", "12"),
                             .cut = 20});
    server_add(&w->client.server, (struct step){.status = 0});
    client_answer(&w->client, 503, "{\"kind\":\"Status\",\"message\":\"starting\"}");
    client_answer(&w->client, 200, EVENT("ADDED", "b", "12"));
    struct kube_watch *watch = watch_things(w, &watched);
    watch_until(w, watch, &watched, 3);
    expect_seen(&watched, "synced a@11 b@12");
    assert_non_null(strstr(head(w, 2), "&resourceVersion=11&"));
    kube_watch_free(watch);
    strv_clear(&watched.seen);
}

static void test_a_watch_that_is_not_allowed_ends(void **state)
{
    struct world *w = *state;
    struct watched watched = {.seen = STRV_INIT};

    client_answer(&w->client, 403,
                  "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"cannot list\"}");
    struct kube_watch *watch = watch_things(w, &watched);
    watch_until(w, watch, &watched, 1);
    assert_int_equal(watched.failed.code, ERR_DENIED);
    assert_string_equal(err_text(&watched.failed), "things: cannot list (403 Forbidden)");
    kube_watch_free(watch);
    err_clear(&watched.failed);
}

static void test_trouble_is_told_while_it_lasts(void **state)
{
    struct world *w = *state;
    struct watched watched = {.seen = STRV_INIT};

    client_answer(&w->client, 503, "{\"kind\":\"Status\",\"message\":\"starting\"}");
    client_answer(&w->client, 200, LIST("1", ""));
    struct kube_watch *watch = watch_things(w, &watched);
    while (!kube_watch_trouble(watch)) {
        watch_until(w, watch, &watched, 0);
        autoerr struct err err = ERR_INIT;
        assert_int_equal(http_drive(w->client.http, 10, -1, "test", &err), 0);
    }
    assert_non_null(strstr(kube_watch_trouble(watch), "starting"));
    watch_until(w, watch, &watched, 1);
    expect_seen(&watched, "synced");
    assert_null(kube_watch_trouble(watch));
    kube_watch_free(watch);
    strv_clear(&watched.seen);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_lock_is_looked_at),
        TEST(test_a_lock_that_nobody_has),
        TEST(test_a_patch_goes_out_as_asked),
        TEST(test_errors_are_told_in_the_servers_words),
        TEST(test_an_answer_that_is_no_json),
        TEST(test_credentials_never_go_out_in_the_clear),
        TEST(test_a_token_file_is_read_each_time),
        TEST(test_impersonation_and_basic),
        TEST(test_a_plugin_is_asked_once),
        TEST(test_a_refused_plugin_token_is_renewed),
        TEST(test_plugins_that_fail),
        TEST(test_a_list_comes_in_pages),
        TEST(test_what_is_no_list_is_refused),
        TEST(test_a_watch_follows_the_list_and_goes_on_after_an_end),
        TEST(test_a_version_too_old_lists_again),
        TEST(test_a_cut_watch_is_taken_up_again),
        TEST(test_a_watch_that_is_not_allowed_ends),
        TEST(test_trouble_is_told_while_it_lasts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
