"""The least role of deploy (examples/rbac/deploy.yaml) is enough for all that it does."""
import pytest

from conftest import wait_for
from racing import Race
from test_deploy import as_service_account

JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: ops, annotations: {argocd.argoproj.io/hook: PreSync}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "quay.io/example/migrate:1", command: [sh, -c, exit 1]}]
"""
HELD = """\
apiVersion: v1
kind: Namespace
metadata: {name: ops}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: held, namespace: ops, finalizers: [example.com/nobody]}
"""


@pytest.fixture
def place(folder, start_emulator):
    return Race(folder, start_emulator)


def refused(place):
    """What was asked as the service account, and not allowed."""
    return [(e["method"], e["path"]) for e in place.emulator.log() if e["status"] == 403]


@pytest.mark.parametrize("args", [
    [], ["--dry-run"], ["--prune"], ["--restore"], ["--upgrade-from", "HEAD~1"],
    ["--in-progress", "terminate"], ["--cluster", "stage"]], ids=lambda args: " ".join(args) or "-")
def test_enough_to_deploy(place, args):
    place.greet("Good evening")
    as_service_account(place)
    result = place.deploy(*args)
    assert result.status == 0, result
    assert refused(place) == []


def test_enough_to_explain(place):
    place.break_web("example.invalid/web:1")
    (place.clone / "ops/migrate.yaml").write_text(JOB)
    place.commit()
    as_service_account(place)
    result = place.deploy("--set", "deploy.syncRetries=0")
    assert result.status == 1, result
    assert "ended with status 1" in result.out and "web/base/deployment.yaml:19" in result.out
    assert refused(place) == []


def test_enough_to_explain_a_namespace(place):
    place.kubectl("apply", "-f", "-", given=HELD)
    place.kubectl("delete", "namespace", "ops", "--wait=false")
    wait_for(lambda: "SomeFinalizersRemain" in place.kubectl("get", "namespace", "ops", "-o", "json"))
    as_service_account(place)
    result = place.deploy("--timeout", "8s")
    assert result.status == 6, result
    assert "example.com/nobody" in result.out, result
    assert refused(place) == []
