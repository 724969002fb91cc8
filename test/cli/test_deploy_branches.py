"""The rehearsal's clusters that watch a branch: stage follows master, prod follows release."""
import json

import pytest

from racing import Race
from test_deploy import rows


@pytest.fixture
def place(folder, start_emulator):
    place = Race(folder, start_emulator)
    place.configure("  prod: {path: argocd-config/overlays/prod, revision: release, sync: automated, "
                    "kubeconfig: kubeconfig}\n")
    place.git("push", "-q", "origin", "HEAD:release")
    return place


def web(place):
    """How many replicas of web the cluster wants, and what it greets with."""
    deployment = json.loads(place.kubectl("get", "deployment", "-n", "web", "web", "-o", "json"))
    return deployment["spec"]["replicas"], place.greeting()


def test_stage_follows_master(place):
    assert place.deploy("--cluster", "stage").status == 0
    assert web(place) == (2, "Good morning")
    commit = place.greet("Good evening")
    result = place.deploy("--cluster", "stage")
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {commit[:12]}
    assert web(place) == (2, "Good evening")


def test_prod_follows_release_and_not_master(place):
    released = place.head()
    ahead = place.greet("Good evening")
    result = place.deploy("--cluster", "prod")
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {released[:12]}
    assert web(place) == (3, "Good morning")
    root = place.application("argocd-config")
    assert root["spec"]["source"]["targetRevision"] == "release"
    assert root["spec"]["source"]["path"] == "argocd-config/overlays/prod"
    assert root["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert place.application("web")["spec"]["source"]["targetRevision"] == "release"

    place.git("push", "-q", "origin", "HEAD:release")  # the release
    result = place.deploy("--cluster", "prod")
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {ahead[:12]}
    assert web(place) == (3, "Good evening")


def test_a_release_that_is_broken_is_told_with_its_line(place):
    assert place.deploy("--cluster", "prod").status == 0
    place.edit("web/base/deployment.yaml", "spec:\n", "spec:\n  progressDeadlineSeconds: 1\n")
    place.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", "example.invalid/web:1")
    place.commit()
    place.git("push", "-q", "origin", "HEAD:release")
    result = place.deploy("--cluster", "prod", "--timeout", "60s")
    assert result.status == 1, result
    assert "application 'web': " in result.err
    assert "web/base/deployment.yaml:19 (changed by this commit)" in result.out, result
