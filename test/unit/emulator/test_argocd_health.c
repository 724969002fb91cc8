#include "argocd_fixture.h"
#include "emulator/argocd/health.h"

static const struct health_settings plain = {.assess_applications = false};

static void check(const char *yaml, const char *status, const char *message)
{
    autojson cJSON *object = fixture_yaml(yaml);
    struct health health;

    assert_true(health_assess(object, &plain, &health));
    assert_string_equal(health_name(health.status), status);
    if (message != NULL)
        assert_string_equal(health.message, message);
    else
        assert_null(health.message);
    health_clear(&health);
}

static void deployments(void **state)
{
    (void)state;
    check("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, generation: 2},"
          " spec: {replicas: 2}, status: {observedGeneration: 1, updatedReplicas: 2}}",
          "Progressing",
          "Waiting for rollout to finish: observed deployment generation less than desired "
          "generation");
    check("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, generation: 2},"
          " spec: {replicas: 2}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 1}}",
          "Progressing",
          "Waiting for rollout to finish: 1 out of 2 new replicas have been updated...");
    check("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, generation: 2},"
          " spec: {replicas: 2}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2,"
          " availableReplicas: 1}}",
          "Progressing", "Waiting for rollout to finish: 1 of 2 updated replicas are available...");
    check("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, generation: 2},"
          " status: {observedGeneration: 2, conditions: [{type: Progressing, status: 'False',"
          " reason: ProgressDeadlineExceeded}]}}",
          "Degraded", "Deployment \"web\" exceeded its progress deadline");
    check("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, generation: 2},"
          " spec: {paused: true}}",
          "Suspended", "Deployment is paused");
    check("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, generation: 2},"
          " spec: {replicas: 1}, status: {observedGeneration: 2, replicas: 1, updatedReplicas: 1,"
          " availableReplicas: 1}}",
          "Healthy", NULL);
}

static void pods(void **state)
{
    (void)state;
    check("{apiVersion: v1, kind: Pod, metadata: {name: p}, status: {phase: Pending,"
          " containerStatuses: [{name: c, state: {waiting: {reason: ImagePullBackOff,"
          " message: 'Back-off pulling image \"x\"'}}}]}}",
          "Degraded", "Back-off pulling image \"x\"");
    check("{apiVersion: v1, kind: Pod, metadata: {name: p}, status: {phase: Running,"
          " conditions: [{type: Ready, status: 'True'}]}}",
          "Healthy", NULL);
    check("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Never},"
          " status: {phase: Failed, containerStatuses: [{name: c, state: {terminated:"
          " {exitCode: 3}}}]}}",
          "Degraded", "container \"c\" failed with exit code 3");
}

static void others(void **state)
{
    (void)state;
    check("{apiVersion: batch/v1, kind: Job, metadata: {name: j}, status: {conditions:"
          " [{type: Failed, status: 'True', message: too often}]}}",
          "Degraded", "too often");
    check("{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: LoadBalancer}}",
          "Progressing", NULL);
    check("{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ClusterIP}}",
          "Healthy", NULL);
    check("{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: a}}",
          "Progressing", "Waiting to be processed");
    check("{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, generation: 1},"
          " spec: {replicas: 3}, status: {observedGeneration: 1, readyReplicas: 1}}",
          "Progressing", "Waiting for 2 pods to be ready...");
    check("{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, generation: 1},"
          " status: {observedGeneration: 1, desiredNumberScheduled: 3, updatedNumberScheduled: 3,"
          " numberAvailable: 2}}",
          "Progressing",
          "Waiting for daemon set \"d\" rollout to finish: 2 of 3 updated pods are available...");
    check("{apiVersion: v1, kind: ConfigMap, metadata: {name: c, deletionTimestamp: now}}",
          "Progressing", "Pending deletion");
}

static void kinds_without_health(void **state)
{
    autojson cJSON *map = fixture_yaml("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}");
    autojson cJSON *app =
        fixture_yaml("{apiVersion: argoproj.io/v1alpha1, kind: Application,"
                     " metadata: {name: a}, status: {health: {status: Degraded}}}");
    autojson cJSON *cm =
        fixture_yaml("{data: {resource.customizations.health.argoproj.io_Application: 'hs = {}'}}");
    struct health_settings configured = health_settings(cm);
    struct health health;

    (void)state;
    assert_false(health_assess(map, &plain, &health));
    assert_false(health_assess(app, &plain, &health));
    assert_true(health_assess(app, &configured, &health));
    assert_int_equal(health.status, HEALTH_DEGRADED);
    assert_true(health_has_check("apps", "Deployment"));
    assert_false(health_has_check("", "ConfigMap"));
    assert_false(health_settings(NULL).assess_applications);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deployments),
        cmocka_unit_test(pods),
        cmocka_unit_test(others),
        cmocka_unit_test(kinds_without_health),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
