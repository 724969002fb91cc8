#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "../support/client.h"
#include "deploy/evidence.h"
#include "necoops/kube/client.h"

#define WORKLOAD "{\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"web\"}}}}"
#define NOTHING  "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}"
#define CRASHED                                                                                    \
    "\"restartCount\":2,\"lastState\":{\"terminated\":{\"exitCode\":137,\"reason\":\"OOMKilled\"}" \
    "}"
#define POD(ready, state)                                                                          \
    "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"metadata\":{\"name\":\"web-1\"},"     \
    "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"" ready                          \
    "\"}],\"containerStatuses\":[{\"name\":\"main\"," CRASHED ",\"state\":" state "}]}}]}"
#define RUNNING "{\"running\":{\"startedAt\":\"2026-01-01T00:00:00Z\"}}"
#define BACKOFF "{\"waiting\":{\"reason\":\"CrashLoopBackOff\",\"message\":\"back-off\"}}"

struct world {
    struct client client;
    struct kube *kube;
    struct findings found;
    int64_t patience_ms;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;
    autofree char *text = NULL;

    client_start(&w->client);
    text =
        xasprintf("{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], "
                  "clusters: [{name: c, cluster: {server: '%s'}}], users: [{name: u, user: {}}]}",
                  w->client.server.url);
    assert_int_equal(kubeconfig_parse(text, strlen(text), "conf", "/", NULL, &config, &err), 0);
    assert_int_equal(kube_new(w->client.http, &config, &w->kube, &err), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    findings_clear(&w->found);
    kube_free(w->kube);
    client_stop(&w->client);
    free(w);
    return 0;
}

static void find(struct world *w)
{
    const struct evidence_source source = {&w->client.run, w->kube, &w->patience_ms};

    evidence_find(&source, "apps", "Deployment", "web", "web", &w->found);
}

/* It leaves one finding, with what the run before wrote. */
static void find_in_crashed_pod(struct world *w, const char *pods)
{
    client_answer(&w->client, 200, WORKLOAD);
    client_answer(&w->client, 200, pods);
    client_answer(&w->client, 200, "the last word\n");
    client_answer(&w->client, 200, NOTHING);
    find(w);
    assert_int_equal(w->found.len, 1);
}

static void test_a_container_between_two_crashes(void **state)
{
    struct world *w = *state;

    find_in_crashed_pod(w, POD("False", RUNNING));
    assert_string_equal(w->found.items[0].text,
                        "Pod web/web-1, container 'main' runs again after it ended with status "
                        "137: OOMKilled (restarts: 2)\nlast lines of its log:\nthe last word\n");
    assert_string_equal(w->found.items[0].container, "main");
    assert_string_equal(server_line(&w->client.server, 2),
                        "GET /api/v1/namespaces/web/pods/web-1/log?container=main&tailLines=10"
                        "&previous=true");
}

static void test_one_without_a_probe_counts_as_ready_then(void **state)
{
    struct world *w = *state;

    find_in_crashed_pod(w, POD("True", RUNNING));
    assert_non_null(strstr(w->found.items[0].text, "the last word"));
}

static void test_the_log_of_the_run_before_is_not_kept(void **state)
{
    struct world *w = *state;

    client_answer(&w->client, 200, WORKLOAD);
    client_answer(&w->client, 200, POD("False", BACKOFF));
    client_answer(&w->client, 400,
                  "{\"kind\":\"Status\",\"message\":\"previous terminated "
                  "container not found\"}");
    client_answer(&w->client, 200, "what there is\n");
    client_answer(&w->client, 200, NOTHING);
    find(w);
    assert_int_equal(w->found.len, 1);
    assert_string_equal(
        w->found.items[0].text,
        "Pod web/web-1, container 'main': CrashLoopBackOff: back-off (it ended with "
        "status 137: OOMKilled)\nlast lines of its log:\nwhat there is\n");
}

static void test_pods_that_come_a_moment_later(void **state)
{
    struct world *w = *state;

    w->patience_ms = 60000;
    client_answer(&w->client, 200, WORKLOAD);
    client_answer(&w->client, 200, NOTHING);
    client_answer(&w->client, 200, NOTHING);
    find_in_crashed_pod(w, POD("False", RUNNING));
    assert_true(w->patience_ms > 0 && w->patience_ms < 60000);
}

static void test_patience_ends(void **state)
{
    struct world *w = *state;

    w->patience_ms = 1;
    for (int i = 0; i < 3; i++) {
        client_answer(&w->client, 200, WORKLOAD);
        client_answer(&w->client, 200, NOTHING);
        client_answer(&w->client, 200, NOTHING);
    }
    find(w);
    find(w); /* what was used up is used up */
    assert_int_equal(w->found.len, 0);
    assert_int_equal(w->client.server.seen_len, 9);
    assert_true(w->patience_ms <= 0);
}

static void test_an_object_that_is_gone_is_not_waited_for(void **state)
{
    struct world *w = *state;

    w->patience_ms = 60000;
    client_answer(&w->client, 404, "{\"kind\":\"Status\",\"message\":\"not found\"}");
    client_answer(&w->client, 200, NOTHING);
    find(w);
    assert_int_equal(w->client.server.seen_len, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_container_between_two_crashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_without_a_probe_counts_as_ready_then, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_log_of_the_run_before_is_not_kept, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_pods_that_come_a_moment_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_patience_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_object_that_is_gone_is_not_waited_for, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
