"""Why not: for each reason the status, the words, and the line of the manifest behind it."""
import re

import pytest

from conftest import wait_for
from racing import Race
from test_deploy import rows


@pytest.fixture
def place(folder, start_emulator):
    return Race(folder, start_emulator)


def line_of(place, path, text, after=""):
    """FILE:LINE of the first line with the text, after the one with `after`."""
    lines = (place.clone / path).read_text().splitlines()
    first = next((i for i, line in enumerate(lines) if after in line), 0)
    return f"{path}:{next(i for i, line in enumerate(lines[first:], first + 1) if text in line)}"


def deploy(place, *args):
    """Without the tries again, which change nothing about the reason."""
    return place.deploy("--set", "deploy.syncRetries=0", *args)


def impatient(place):
    """Argo CD calls web Degraded soon: its Deployment's own deadline."""
    place.edit("web/base/deployment.yaml", "spec:\n", "spec:\n  progressDeadlineSeconds: 1\n")


def test_a_probe_that_fails(place):
    impatient(place)
    place.edit("web/base/deployment.yaml", "          httpGet:\n            path: /health\n"
               "            port: http\n", '          exec:\n            command: ["false"]\n')
    place.commit()
    result = deploy(place)
    assert result.status == 1, result
    assert "application 'web': Degraded: Deployment web/web" in result.err
    assert "Unhealthy: Readiness probe failed: " in result.out
    where = line_of(place, "web/base/deployment.yaml", "readinessProbe")
    assert re.search(rf"Readiness probe failed: .*\n +{re.escape(where)}", result.out), result


def test_no_room(place):
    impatient(place)
    place.edit("web/base/deployment.yaml", "        ports:\n",
               "        resources:\n          requests:\n            cpu: \"1000\"\n        ports:\n")
    place.commit()
    result = deploy(place)
    assert result.status == 1, result
    assert "application 'web': Degraded: Deployment web/web" in result.err
    assert "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu." in result.out
    assert line_of(place, "web/base/deployment.yaml", "kind: Deployment").split(":")[0] in result.out


def test_a_quota(place):
    impatient(place)
    (place.clone / "namespaces/quota.yaml").write_text(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: small, namespace: web}\n"
        'spec: {hard: {pods: "0"}}\n')
    place.commit()
    result = deploy(place)
    assert result.status == 1, result
    assert "application 'web': Degraded: Deployment web/web" in result.err
    assert re.search(r"FailedCreate: Error creating: pods \"web-\S+\" is forbidden: exceeded quota: "
                     r"small, requested: pods=1, used: pods=0, limited: pods=0", result.out), result
    assert "web/base/deployment.yaml:" in result.out


WEBHOOK = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard}
webhooks:
- name: guard.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  clientConfig: {service: {namespace: guard, name: guard, path: /validate}}
  rules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}
"""


def test_a_webhook_that_cannot_be_asked(place):
    assert deploy(place).status == 0
    place.kubectl("apply", "-f", "-", given=WEBHOOK)
    place.greet("Good evening")
    result = deploy(place)
    assert result.status == 1, result
    assert "application 'web': the sync failed: " in result.err
    assert ('failed calling webhook "guard.example.com": failed to call webhook: Post '
            '"https://guard.guard.svc:443/validate?timeout=10s": service "guard" not found'
            in result.out), result
    where = line_of(place, "web/base/configmap.yaml", "apiVersion")
    assert f"{where}\n" in result.out
    assert rows(result)["ops"][-1].startswith("live")


def test_a_field_that_cannot_be_changed(place):
    assert deploy(place).status == 0
    file = place.clone / "web/base/deployment.yaml"
    file.write_text(file.read_text().replace("app: web", "app: another"))
    place.commit()
    result = deploy(place)
    assert result.status == 1, result
    assert "application 'web': the sync failed: " in result.err
    assert "spec.selector: Invalid value: " in result.out
    assert "field is immutable" in result.out
    where = line_of(place, "web/base/deployment.yaml", "selector:")
    next_line = int(where.rpartition(":")[2])
    assert any(f"web/base/deployment.yaml:{n}" in result.out for n in (next_line, next_line + 1)), \
        result


JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  namespace: ops
  annotations:
    argocd.argoproj.io/hook: PreSync
    argocd.argoproj.io/hook-delete-policy: BeforeHookCreation
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: migrate
        image: quay.io/example/migrate:1
        command: [sh, -c, "echo no such table; exit 1"]
"""


def test_a_hook_whose_job_fails(place):
    (place.clone / "ops/migrate.yaml").write_text(JOB)
    place.commit()
    result = deploy(place)
    assert result.status == 1, result
    assert "application 'ops': the sync failed: " in result.err
    assert "Job ops/migrate: " in result.out
    assert "BackoffLimitExceeded" in result.out or "backoff limit" in result.out, result
    assert "container 'migrate' ended with status 1" in result.out
    assert "last lines of its log:" in result.out
    assert re.search(r"ops/migrate\.yaml:\d+ \(changed by this commit\)", result.out), result
    assert rows(result)["web"][-1].startswith("live")


def hold(place, space):
    """The namespace is deleted, and something in it with a finalizer that nobody serves stays."""
    place.kubectl("apply", "-f", "-", given="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, "
                  f"namespace: {space}, finalizers: [example.com/nobody]}}\n")
    place.kubectl("delete", "namespace", space, "--wait=false")
    wait_for(lambda: "SomeFinalizersRemain" in place.kubectl("get", "namespace", space, "-o", "json"))


def test_a_namespace_that_does_not_go_away(place):
    place.kubectl("create", "namespace", "ops")
    hold(place, "ops")
    result = deploy(place, "--timeout", "5s")
    assert result.status == 6, result
    assert "namespaces (Progressing: Namespace ops is Progressing: Pending deletion)" in result.err
    assert ("SomeFinalizersRemain: Some content in the namespace has finalizers remaining: "
            "example.com/nobody" in result.out), result
    assert line_of(place, "namespaces/namespaces.yaml", "apiVersion", after="---") in result.out


def test_content_of_a_namespace_that_is_going_away(place):
    assert deploy(place).status == 0
    hold(place, "ops")
    (place.clone / "ops/new.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new, namespace: ops}\n")
    place.commit()
    result = deploy(place, "--apps", "ops")
    assert result.status == 1, result
    assert "application 'ops': the sync failed: " in result.err
    assert ("unable to create new content in namespace ops because it is being terminated"
            in result.out), result
    assert re.search(r"ops/\w+\.yaml:\d+", result.out)


def test_a_folder_that_is_not_in_the_commit(place):
    place.edit("argocd-config/base/ops.yaml", "path: ops", "path: nowhere")
    place.commit()
    result = deploy(place)
    assert result.status == 1, result
    assert re.search(r"application 'ops': .*ComparisonError: .*nowhere: app path does not exist",
                     result.err)


# ---- through bases and patches ----

def test_a_patch_is_named_before_its_base(place):
    """The overlay's patch brings the image that is not there, not the base."""
    impatient(place)
    place.edit("web/overlays/gcp/deployment.yaml", "  replicas: 1\n", """\
  replicas: 1
  template:
    spec:
      containers:
      - name: web
        image: example.invalid/web:3
""")
    place.commit()
    result = deploy(place)
    assert result.status == 1, result
    where = line_of(place, "web/overlays/gcp/deployment.yaml", "image:")
    assert f"{where} (changed by this commit)" in result.out, result


def test_a_line_that_an_earlier_commit_wrote_is_not_marked(place):
    impatient(place)
    place.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", "example.invalid/web:1")
    place.commit()
    place.commit("nothing of it")
    result = deploy(place)
    assert result.status == 1, result
    where = line_of(place, "web/base/deployment.yaml", "image:")
    assert f"{where}\n" in result.out and "(changed by this commit)" not in result.out
