/* What is sent to an Alertmanager and to GitHub, request by request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "../support/client.h"
#include "necoops/base/timefmt.h"
#include "necoops/notify/notify.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

struct world {
    struct client client;
    struct conf *conf;
    struct kube *kube;
    struct notify *notify;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    client_start(&w->client);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    notify_free(w->notify);
    kube_free(w->kube);
    conf_free(w->conf);
    client_stop(&w->client);
    free(w);
    return 0;
}

/* `sets`: keys of the configuration, NULL-terminated. */
static void begin(struct world *w, const char *const *sets)
{
    autostrv struct strv list = STRV_INIT;
    autoerr struct err err = ERR_INIT;
    struct notify_subject about = {
        .cluster = "dev",
        .repo_url = "git@github.com:neco-test/apps.git",
        .revision = COMMIT,
        .author = "Ann",
        .subject = "A change",
    };

    for (; *sets; sets++) {
        strv_add(&list, *sets);
    }
    if (conf_load(&w->client.run, "/dev/null", &list, &w->conf, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    w->notify = notify_new(&w->client.run, w->conf);
    notify_about(w->notify, &about);
}

static void begin_by_url(struct world *w)
{
    autofree char *url = xasprintf("notify.alertmanager.url=%s/prefix/", w->client.server.url);
    const char *sets[] = {url, NULL};

    begin(w, sets);
}

static void reach(struct world *w)
{
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;
    autofree char *text =
        xasprintf("{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], "
                  "clusters: [{name: c, cluster: {server: '%s'}}], users: [{name: u, user: {}}]}",
                  w->client.server.url);

    assert_int_equal(kubeconfig_parse(text, strlen(text), "conf", "/", NULL, &config, &err), 0);
    assert_int_equal(kube_new(w->client.http, &config, &w->kube, &err), 0);
    notify_reach(w->notify, w->kube);
}

static cJSON *body(const struct world *w, int n)
{
    autoerr struct err err = ERR_INIT;
    const char *text = w->client.server.seen[n].body;
    cJSON *json = NULL;

    assert_true(n < w->client.server.seen_len);
    if (json_parse(text, strlen(text), "body", &json, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    return json;
}

static int64_t time_at(const cJSON *json, const char *path)
{
    autoerr struct err err = ERR_INIT;
    int64_t at = 0;

    assert_int_equal(time_parse_rfc3339(json_str_or(json, path, ""), &at, &err), 0);
    return at;
}

static const struct notify_app some_apps[] = {{.name = "argocd-config", .live = true, .reason = ""},
                                              {.name = "web", .reason = "it crashes\nat night"},
                                              {.name = "late"}};

static void end_failed(struct world *w)
{
    struct notify_outcome outcome = {.end = NOTIFY_FAILURE,
                                     .alert = true,
                                     .reason = "application 'web': it crashes",
                                     .root = "argocd-config",
                                     .apps = some_apps,
                                     .len = 3,
                                     .whole = true};

    notify_ended(w->notify, &outcome);
}

static void end_live(struct world *w, bool whole)
{
    struct notify_outcome outcome = {.end = NOTIFY_SUCCESS,
                                     .alert = true,
                                     .reason = "",
                                     .root = "argocd-config",
                                     .apps = some_apps,
                                     .len = 1,
                                     .whole = whole,
                                     .ms = 61000};

    notify_ended(w->notify, &outcome);
}

/* ---- alerts ---- */

static void test_a_failure_is_one_alert_for_each_app_that_failed(void **state)
{
    struct world *w = *state;
    int64_t now = run_wall_ms(&w->client.run);

    client_setenv(&w->client, "CIRCLE_BUILD_URL", "https://ci.example.com/1");
    begin_by_url(w);
    client_answer(&w->client, 200, "[]");
    client_answer(&w->client, 200, "");
    end_failed(w);
    assert_non_null(strstr(w->client.server.seen[0].text,
                           "GET /prefix/api/v2/alerts?active=true&silenced=true&inhibited=true&"
                           "filter=alertname%3D%22DeploymentFailed%22&filter=source%3D%22necoops%22"
                           "&filter=cluster%3D%22dev%22 HTTP/1.1"));
    assert_non_null(strstr(w->client.server.seen[1].text, "POST /prefix/api/v2/alerts HTTP/1.1"));
    autojson cJSON *alerts = body(w, 1);
    assert_int_equal(cJSON_GetArraySize(alerts), 1);
    autofree char *labels = json_print(json_at(alerts, "[0].labels"));
    assert_string_equal(labels, "{\"alertname\":\"DeploymentFailed\",\"severity\":\"critical\","
                                "\"source\":\"necoops\",\"cluster\":\"dev\",\"app\":\"web\"}");
    autofree char *annotations = json_print(json_at(alerts, "[0].annotations"));
    assert_string_equal(
        annotations,
        "{\"summary\":\"web is not live on dev\",\"reason\":\"it crashes at night\",\"revision\":"
        "\"" COMMIT "\",\"author\":\"Ann\",\"subject\":\"A change\",\"build_url\":"
        "\"https://ci.example.com/1\"}");
    assert_string_equal(json_str(alerts, "[0].generatorURL"), "https://ci.example.com/1");
    /* far away: an alert without an end, or with a near one, ends by itself */
    assert_true(time_at(alerts, "[0].endsAt") > now + (int64_t)6 * 24 * 3600 * 1000);
}

static void test_a_failure_without_an_app_is_the_roots(void **state)
{
    struct world *w = *state;
    struct notify_outcome outcome = {
        .end = NOTIFY_ERROR, .alert = true, .reason = "no connection", .root = "argocd-config"};

    begin_by_url(w);
    client_answer(&w->client, 200, "[]");
    client_answer(&w->client, 200, "");
    notify_ended(w->notify, &outcome);
    notify_ended(w->notify, &outcome); /* only once */
    assert_int_equal(w->client.server.seen_len, 2);
    autojson cJSON *alerts = body(w, 1);
    assert_string_equal(json_str(alerts, "[0].labels.app"), "argocd-config");
    assert_string_equal(json_str(alerts, "[0].annotations.reason"), "no connection");
}

#define FIRING(app)                                                                                \
    "{\"labels\":{\"alertname\":\"DeploymentFailed\",\"app\":\"" app                               \
    "\",\"cluster\":\"dev\",\"severity\":\"critical\",\"source\":\"necoops\",\"team\":\"x\"},"     \
    "\"annotations\":{\"revision\":\"old\"},\"startsAt\":\"2026-01-02T03:04:05Z\"}"

static void test_a_whole_success_resolves_every_failure(void **state)
{
    struct world *w = *state;

    begin_by_url(w);
    client_answer(&w->client, 200, "[" FIRING("web") "," FIRING("gone") "]");
    client_answer(&w->client, 200, "");
    end_live(w, true);
    autojson cJSON *alerts = body(w, 1);
    int64_t now = run_wall_ms(&w->client.run);

    assert_int_equal(cJSON_GetArraySize(alerts), 3);
    /* exactly the labels that fire, whoever added some, or it would be another alert */
    assert_string_equal(json_str(alerts, "[0].labels.app"), "web");
    assert_string_equal(json_str(alerts, "[0].labels.team"), "x");
    assert_string_equal(json_str(alerts, "[1].labels.app"), "gone");
    assert_string_equal(json_str(alerts, "[1].annotations.resolved_by"), COMMIT);
    assert_true(time_at(alerts, "[0].endsAt") < now);
    assert_true(time_at(alerts, "[0].endsAt") > now - 120000);
    assert_string_equal(json_str(alerts, "[2].labels.alertname"), "DeploymentSucceeded");
    assert_string_equal(json_str(alerts, "[2].labels.severity"), "info");
    assert_null(json_str(alerts, "[2].labels.app"));
    assert_string_equal(json_str(alerts, "[2].annotations.summary"),
                        "0123456789ab is live on dev: 1 application after 1m01s");
}

static void test_a_partial_success_resolves_what_it_saw_live(void **state)
{
    struct world *w = *state;

    begin_by_url(w);
    client_answer(&w->client, 200, "[" FIRING("web") "," FIRING("argocd-config") "]");
    client_answer(&w->client, 200, "");
    end_live(w, false);
    autojson cJSON *alerts = body(w, 1);
    assert_int_equal(cJSON_GetArraySize(alerts), 2);
    assert_string_equal(json_str(alerts, "[0].labels.app"), "argocd-config");
}

static void test_an_answer_that_makes_no_sense_is_a_warning(void **state)
{
    struct world *w = *state;

    begin_by_url(w);
    client_answer(&w->client, 200, "[{\"labels\":7},3,{}]");
    client_answer(&w->client, 400, "\"bad\"");
    end_live(w, true);
    assert_non_null(strstr(client_log(&w->client),
                           "warning: how the deploy ended was not told: the Alertmanager answered "
                           "400"));
}

static void test_the_service_is_reached_through_the_api_server(void **state)
{
    static const char *const sets[] = {"notify.alertmanager.service=monitoring/alertmanager:9093",
                                       NULL};
    struct world *w = *state;

    begin(w, sets);
    reach(w);
    client_answer(&w->client, 200, "[]");
    client_answer(&w->client, 200, "");
    end_failed(w);
    assert_non_null(strstr(w->client.server.seen[1].text,
                           "POST /api/v1/namespaces/monitoring/services/alertmanager:9093/proxy/"
                           "api/v2/alerts HTTP/1.1"));
    autojson cJSON *alerts = body(w, 1);
    assert_string_equal(json_str(alerts, "[0].labels.app"), "web");
}

static void test_a_service_that_was_not_reached_is_told(void **state)
{
    static const char *const sets[] = {"notify.alertmanager.service=monitoring/alertmanager:9093",
                                       NULL};
    struct world *w = *state;

    begin(w, sets);
    end_failed(w);
    assert_int_equal(w->client.server.seen_len, 0);
    assert_non_null(strstr(client_log(&w->client), "the Alertmanager was not told: it lies in the "
                                                   "cluster, which was not reached"));
}

static void test_services_that_are_none(void **state)
{
    static const char *const bad[] = {"monitoring", "/x:1",    "a/b",    "a/:1",
                                      "a/b:1/c",    "a/b:1?x", "../b:1 "};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        autofree char *set = xasprintf("notify.alertmanager.service=%s", bad[i]);
        autofree char *words = xasprintf("'%s' is not NAMESPACE/NAME:PORT; not used", bad[i]);
        const char *sets[] = {set, NULL};

        begin(w, sets);
        assert_non_null(strstr(client_log(&w->client), words));
        notify_free(w->notify);
        conf_free(w->conf);
        w->notify = NULL;
        w->conf = NULL;
    }
}

static void test_a_slow_run_is_told_without_waiting(void **state)
{
    struct world *w = *state;
    autofree char *url = xasprintf("notify.alertmanager.url=%s", w->client.server.url);
    const char *sets[] = {url, "notify.slowAfter=1ms", NULL};
    struct notify_outcome outcome = {.end = NOTIFY_ERROR, .reason = "interrupted"};
    autoerr struct err err = ERR_INIT;

    begin(w, sets);
    notify_tick(w->notify); /* not reached: nothing could carry it */
    reach(w);
    notify_tick(w->notify); /* it begins */
    assert_int_equal(run_sleep(&w->client.run, 5, "x", &err), 0);
    client_answer(&w->client, 200, "");
    client_answer(&w->client, 200, "");
    notify_tick(w->notify);
    notify_tick(w->notify); /* again only after a minute */
    while (http_active(w->client.http)) {
        assert_int_equal(http_drive(w->client.http, 1000, -1, "x", &err), 0);
    }
    autojson cJSON *slow = body(w, 0);
    assert_string_equal(json_str(slow, "[0].labels.alertname"), "DeploymentSlow");
    assert_string_equal(json_str(slow, "[0].labels.severity"), "warning");
    assert_true(time_at(slow, "[0].endsAt") > run_wall_ms(&w->client.run));
    notify_ended(w->notify, &outcome); /* no alert of its own, but that one ends */
    autojson cJSON *over = body(w, 1);
    assert_int_equal(cJSON_GetArraySize(over), 1);
    assert_string_equal(json_str(over, "[0].startsAt"), json_str(slow, "[0].startsAt"));
    /* now, or a millisecond after its start where that is later */
    assert_true(time_at(over, "[0].endsAt") <= run_wall_ms(&w->client.run) + 1);
    assert_int_equal(w->client.server.seen_len, 2);
}

static void test_leaving_the_cluster_gives_up_what_is_under_way(void **state)
{
    struct world *w = *state;
    autofree char *url = xasprintf("notify.alertmanager.url=%s", w->client.server.url);
    const char *sets[] = {url, "notify.slowAfter=0s", NULL};

    begin(w, sets);
    reach(w);
    notify_tick(w->notify);
    assert_int_equal(http_active(w->client.http), 1);
    notify_reach(w->notify, NULL);
    assert_int_equal(http_active(w->client.http), 0);
}

static void test_hostile_text_is_bounded_and_visible(void **state)
{
    struct world *w = *state;
    size_t len = 1 << 20;
    char *reason = xmalloc(len + 1);
    struct notify_app app = {.name = "a\xff\x1b[31m\xe2\x80\xae", .reason = reason};
    struct notify_outcome outcome = {
        .end = NOTIFY_FAILURE, .alert = true, .reason = "x", .root = "r", .apps = &app, .len = 1};

    for (size_t i = 0; i < len; i += 2) {
        memcpy(reason + i, "\xc3\xa9", 2);
    }
    reason[len] = '\0';
    begin_by_url(w);
    client_answer(&w->client, 200, "[]");
    client_answer(&w->client, 200, "");
    notify_ended(w->notify, &outcome);
    free(reason);
    autojson cJSON *alerts = body(w, 1); /* it is valid UTF-8, or it would not parse */
    const char *told = json_str(alerts, "[0].annotations.reason");
    assert_string_equal(json_str(alerts, "[0].labels.app"), "a\\xff\\x1b[31m\\u202e");
    assert_true(strlen(told) <= 1500 && strlen(told) > 1400);
    assert_string_equal(told + strlen(told) - 5, "\xc3\xa9\xe2\x80\xa6");
}

/* ---- GitHub ---- */

static void begin_github(struct world *w, const char *url, const char *token)
{
    autofree char *set = xasprintf("notify.github.url=%s", url);
    const char *sets[] = {set, "notify.github.tokenEnv=TOKEN", NULL};

    client_setenv(&w->client, "TOKEN", token);
    begin(w, sets);
}

static void test_a_status_as_github_wants_it(void **state)
{
    struct world *w = *state;

    begin_github(w, w->client.server.url, "secret");
    client_answer(&w->client, 201, "{}");
    notify_started(w->notify);
    assert_non_null(strstr(w->client.server.seen[0].text,
                           "POST /repos/neco-test/apps/statuses/" COMMIT " HTTP/1.1"));
    assert_non_null(strcasestr(w->client.server.seen[0].text, "authorization: Bearer secret\r\n"));
    assert_string_equal(w->client.server.seen[0].body,
                        "{\"state\":\"pending\",\"context\":\"necoops/dev\",\"description\":\"the "
                        "deploy is under way\"}");
    assert_null(strstr(client_log(&w->client), "secret"));
}

static void test_a_token_of_several_lines_is_not_sent(void **state)
{
    struct world *w = *state;

    begin_github(w, w->client.server.url, "secret\r\nX: y");
    notify_started(w->notify);
    assert_int_equal(w->client.server.seen_len, 0);
    assert_non_null(strstr(client_log(&w->client), "'TOKEN' is no token: it has several lines"));
    assert_null(strstr(client_log(&w->client), "secret"));
}

static void test_a_refused_token_is_a_warning(void **state)
{
    struct world *w = *state;

    begin_github(w, w->client.server.url, "secret");
    client_answer(&w->client, 401, "{}");
    client_answer(&w->client, 401, "{}");
    notify_started(w->notify);
    assert_non_null(
        strstr(client_log(&w->client), "warning: GitHub refuses the token in 'TOKEN' (401)"));
}

static void test_the_token_goes_only_where_it_is_safe(void **state)
{
    static const char *const bad[] = {"http://github.example.com/api/v3", "ftp://x", "x"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        begin_github(w, bad[i], "secret");
        notify_started(w->notify);
        assert_non_null(strstr(client_log(&w->client), bad[i]));
        notify_free(w->notify);
        conf_free(w->conf);
        w->notify = NULL;
        w->conf = NULL;
    }
    assert_non_null(strstr(client_log(&w->client), "over TLS; set notify.github.url"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_failure_is_one_alert_for_each_app_that_failed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failure_without_an_app_is_the_roots, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_whole_success_resolves_every_failure, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_partial_success_resolves_what_it_saw_live, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_answer_that_makes_no_sense_is_a_warning, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_service_is_reached_through_the_api_server, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_service_that_was_not_reached_is_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_services_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_slow_run_is_told_without_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaving_the_cluster_gives_up_what_is_under_way, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_hostile_text_is_bounded_and_visible, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_status_as_github_wants_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_of_several_lines_is_not_sent, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_refused_token_is_a_warning, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_token_goes_only_where_it_is_safe, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
