"""necoops-deploy --restore: what the applications had before comes back on every way out."""
import json
import signal
import subprocess

import pytest

from conftest import clean_environ
from test_deploy import CHILDREN, Place, place  # noqa: F401 (a fixture)

EVERY = ["argocd-config", *CHILDREN]


def specs(place):  # noqa: F811
    """What each application is to be, by the cluster."""
    return {name: place.application(name)["spec"] for name in EVERY}


@pytest.fixture
def stage(place):  # noqa: F811
    """A cluster that watches master; a commit that nobody has deployed yet."""
    assert place.deploy("--cluster", "stage").status == 0
    place.git("checkout", "-q", "-b", "topic")
    place.edit("web/base/configmap.yaml", "Good morning", "Good night")
    place.commit()
    return place


def is_put_back(place, before, result):  # noqa: F811
    """Every spec is as it was, and that was told."""
    assert specs(place) == before, result
    assert "revision and sync policy of 4 applications put back" in result.err, result


def break_web(place):  # noqa: F811
    place.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", "example.invalid/web:1")
    place.edit("web/base/deployment.yaml", "spec:", "spec:\n  progressDeadlineSeconds: 1")
    return place.commit()


def test_after_success(stage):
    before = specs(stage)
    result = stage.deploy("--restore", "-o", "json")
    assert result.status == 0, result
    is_put_back(stage, before, result)
    assert sorted(result.json["restored"]) == EVERY
    assert {app["revision"] for app in result.json["apps"]} == {stage.head()}
    assert stage.deploy("--cluster", "stage").status == 0  # goes on by itself


def test_after_a_failure_and_its_reasons(stage):
    before = specs(stage)
    break_web(stage)
    result = stage.deploy("--restore")
    assert result.status == 1, result
    assert "example.invalid/web:1" in result.out
    is_put_back(stage, before, result)


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_after_a_signal(stage, number, status):
    before = specs(stage)
    run = stage.start("--restore", "--stable-for", "60s", "-v")
    run.wait_for("web: done")
    run.signal(number)
    result = run.end()
    assert result.status == status, result
    is_put_back(stage, before, result)


def test_after_a_signal_while_the_root_is_synced(folder, start_emulator):
    """A sync of the root that goes on would write our revision into its children again."""
    stage = Place(folder, start_emulator, timings=("reconcile=200ms", "rollout=60ms"))
    assert stage.deploy("--cluster", "stage").status == 0
    before = specs(stage)
    stage.git("checkout", "-q", "-b", "topic")
    stage.commit()
    run = stage.start("--restore", "-v")
    run.wait_for("argocd-config: pending: waiting for Argo CD to start the sync")
    run.signal(signal.SIGTERM)
    result = run.end()
    assert result.status == 143, result
    assert specs(stage) == before, result
    assert "put back" in result.err
    assert stage.deploy("--cluster", "stage").status == 0


def test_after_the_time_is_up(stage):
    before = specs(stage)
    break_web(stage)
    result = stage.deploy("--restore", "--timeout", "6s", "--set", "deploy.degradedGrace=5m")
    assert result.status == 6, result
    assert specs(stage) == before, result


def test_who_lost_the_lease_puts_nothing_back(stage):
    run = stage.start("--restore", "--stable-for", "60s", "-v")
    run.wait_for("web: done")
    taken = json.dumps({"metadata": {"annotations": {"necoops.io/holder": json.dumps(
        {"id": "x", "name": "somebody else"})}}, "spec": {"holderIdentity": "x"}})
    subprocess.run(["kubectl", "--kubeconfig", str(stage.folder / "kubeconfig"), "-n", "argocd",
                    "patch", "lease", "necoops-deploy", "--type=merge", "-p", taken],
                   check=True, env=clean_environ(), stdout=subprocess.DEVNULL)
    result = run.end()
    assert result.status == 5, result
    assert "nothing was put back, for the lease of the cluster was lost" in result.err
    assert stage.application("web")["spec"]["source"]["targetRevision"] == stage.head()


def test_what_somebody_else_changed_is_left_so(place):  # noqa: F811
    assert place.deploy().status == 0
    before = specs(place)
    place.commit()
    run = place.start("--restore", "--stable-for", "60s", "-v")
    for app in CHILDREN:
        run.wait_for(f"{app}: done")
    run.signal(signal.SIGSTOP)  # so that it cannot set it again itself
    change = json.dumps({"spec": {"source": {"targetRevision": "release"}}})
    subprocess.run(["kubectl", "--kubeconfig", str(place.folder / "kubeconfig"), "-n", "argocd",
                    "patch", "application", "web", "--type=merge", "-p", change],
                   check=True, env=clean_environ(), stdout=subprocess.DEVNULL)
    run.signal(signal.SIGTERM)
    run.signal(signal.SIGCONT)
    result = run.end()
    assert result.status == 143, result
    assert "'web' was changed by somebody else meanwhile, so it is not put back" in result.err
    before["web"]["source"]["targetRevision"] = "release"
    assert specs(place) == before, result


def test_a_root_of_our_making_has_no_before(place):  # noqa: F811
    result = place.deploy("--restore")
    assert result.status == 0, result
    assert "'argocd-config' was made by this run, so there is nothing to put back" in result.err
    assert place.application("argocd-config")["spec"]["source"]["targetRevision"] == place.head()


def test_nothing_was_touched(place):  # noqa: F811
    assert place.deploy().status == 0
    since = len(place.emulator.log())
    result = place.deploy("--restore")
    assert result.status == 0 and "put back" not in result.err, result
    assert not [e for e in place.emulator.log()[since:] if e["method"] == "PATCH"
                and "/applications" in e["path"]]


def test_an_older_argo_cd(folder, start_emulator):
    """The children are patched one by one, and put back one by one."""
    place = Place(folder, start_emulator, argocd="v2.6.1")  # noqa: F811
    assert place.deploy("--cluster", "stage").status == 0
    before = specs(place)
    place.git("checkout", "-q", "-b", "topic")
    place.commit()
    result = place.deploy("--restore")
    assert result.status == 0, result
    is_put_back(place, before, result)


def test_patches_that_are_refused_in_between(folder, start_emulator):
    """Somebody writes each time: it is read again."""
    place = Place(folder, start_emulator, faults=[  # noqa: F811
        "method=PATCH,path=*/applications/web,n=2,count=3,status=409"])
    assert place.deploy("--cluster", "stage").status == 0
    before = specs(place)
    place.git("checkout", "-q", "-b", "topic")
    place.commit()
    result = place.deploy("--restore")
    assert result.status == 0, result
    assert specs(place) == before


def test_a_cluster_that_watches_a_branch_has_nothing_to_restore(place):  # noqa: F811
    for option in (["--restore"], ["--upgrade-from", "HEAD"]):
        result = place.deploy("--cluster", "stage", *option)
        assert result.status == 2, result
        assert f"{option[0]} is for clusters that run commits, and 'stage' watches branch 'master'" \
            in result.err
