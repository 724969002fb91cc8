"""Every race of Argo CD and the API server, made to happen: a deploy never believes a half truth."""
import json
import threading

import pytest

from conftest import wait_for
from racing import SKIP, Race
from test_deploy import APPS, CHILDREN, QUICK, REPO, rows


@pytest.fixture
def race(folder, start_emulator):
    def make(*faults, **kwargs):
        return Race(folder, start_emulator, faults=faults, **kwargs)
    return make


# ---- what is shown is older than what was asked ----

def test_the_status_of_before_is_no_result(race):
    place = race(timings=("reconcile=250ms", "rollout=60ms"))
    assert place.deploy().status == 0
    commit = place.greet("Good evening")
    run = place.start()
    result = run.end()
    greeting = place.greeting()
    assert result.status == 0, result
    assert greeting == "Good evening"
    assert all(revision == commit for state, revision, _ in place.states() if state == "done")


def test_no_half_truth_is_believed(race):
    """Argo CD's part is played step by step; each step but the last is what a naive wait takes for
    the end."""
    place = race()
    assert place.deploy("--set", "deploy.askAgain=1h").status == 0
    before = place.application("web")
    since = len(place.asked("web"))
    place.freeze("web")
    commit = place.greet("Good evening")
    run = place.start("--set", "deploy.askAgain=1h")
    operation = wait_for(lambda: place.asked("web")[since:])[0]
    old = before["status"]["sync"]["revision"]
    source = place.application("web")["spec"]["source"]
    state = {"operation": operation, "phase": "Running", "startedAt": "2026-01-01T00:00:00Z",
             "message": "waiting"}

    # the state of an operation that is not ours
    other = dict(state, phase="Succeeded", operation=dict(operation, info=None),
                 syncResult={"revision": commit, "source": source})
    place.patch("web", {"status": {"operationState": other, "sync": {"revision": commit}}})
    place.wait_for_state("pending", "waiting for Argo CD to start the sync")
    place.patch("web", {"status": {"operationState": None}})
    # ours begins, fails, and will be tried again
    place.patch("web", {"status": {"operationState": state}})
    place.wait_for_state("progressing", "syncing: waiting")
    place.patch("web", {"status": {"operationState": {
        "finishedAt": "2026-01-01T00:00:01Z", "message": "no luck"}}})
    place.wait_for_state("progressing", "the sync failed and will be tried again: no luck")
    # it has succeeded, and what is compared is the old commit
    done = {"phase": "Succeeded", "finishedAt": "2026-01-01T00:00:02Z", "message": "",
            "syncResult": {"revision": commit, "source": source}}
    place.patch("web", {"operation": None, "status": {
        "operationState": done, "sync": {"revision": old, "comparedTo": {"source": source}}}})
    place.wait_for_state("stale", f"still at revision '{old[:12]}'")
    # the commit was compared, but with another spec
    place.patch("web", {"status": {"sync": {
        "revision": commit, "comparedTo": {"source": before["spec"]["source"]}}}})
    place.wait_for_state("stale", "not compared with Git yet")
    # with ours, and differs
    place.patch("web", {"status": {"sync": {
        "status": "OutOfSync", "comparedTo": {"source": source}}}})
    place.wait_for_state("progressing", "OutOfSync")
    # it does not differ, and is not healthy
    place.patch("web", {"status": {"sync": {"status": "Synced"},
                                   "health": {"status": "Progressing"}}})
    place.wait_for_state("settling")
    assert not [s for s in place.states() if s[0] == "done"]
    place.patch("web", {"status": {"health": {"status": "Healthy"}}})
    result = run.end()
    assert result.status == 0, result
    assert place.states()[-1][0] == "done"


def test_a_controller_that_does_nothing_is_never_taken_for_success(race):
    place = race()
    assert place.deploy().status == 0
    place.freeze("web")
    place.greet("Good evening")
    result = place.deploy("--timeout", "9s")
    assert result.status == 6, result
    assert "timed out waiting for " in result.err
    assert "web (waiting for Argo CD to start the sync)" in result.err
    assert rows(result)["web"][-1] != "live"
    assert place.greeting() == "Good morning"


# ---- operations in each other's way ----

def alices(place, name):
    """An operation of another's, in progress."""
    revision = place.application(name)["status"]["sync"]["revision"]
    operation = {"sync": {"revision": revision}, "initiatedBy": {"username": "alice"}}
    return {"operation": operation, "status": {"operationState": {
        "operation": dict(operation, info=None), "phase": "Running", "message": "",
        "finishedAt": None, "startedAt": "2026-01-01T00:00:00Z"}}}


def test_nothing_is_written_over_an_operation_in_progress(race):
    place = race()
    assert place.deploy().status == 0
    place.freeze("web")
    place.patch("web", alices(place, "web"))
    since = len(place.asked("web"))
    place.greet("Good evening")
    run = place.start()
    place.wait_for_state("pending", "a sync by alice is in progress")
    for app in ("namespaces", "ops"):
        place.wait_for_state("done", app=app)
    assert len(place.asked("web")) == since
    place.freeze("web", False)  # it ends by itself now
    result = run.end()
    assert result.status == 0, result
    assert len(place.asked("web")) == since + 1
    assert place.greeting() == "Good evening"


def test_an_operation_in_progress_can_be_ended(race):
    place = race()
    assert place.deploy().status == 0
    place.freeze("web")
    place.patch("web", alices(place, "web"))
    commit = place.greet("Good evening")
    run = place.start("--in-progress", "terminate")
    place.wait_for_state("pending", "a sync by alice is in progress and is being ended")
    wait_for(lambda: place.application("web")["status"]["operationState"]["phase"] == "Terminating")
    place.freeze("web", False)
    result = run.end()
    assert result.status == 0, result
    assert rows(result)["web"][0] == commit[:12] and place.greeting() == "Good evening"


def test_an_operation_that_another_one_swallowed_is_asked_for_again(race):
    place = race()
    assert place.deploy().status == 0
    place.freeze("web")
    since = len(place.asked("web"))
    place.greet("Good evening")
    run = place.start()
    wait_for(lambda: len(place.asked("web")) > since)
    place.wait_for_state("pending", "waiting for Argo CD to start the sync")
    patch = alices(place, "web")  # alice's operation is written over ours, and runs
    patch["operation"]["info"] = None
    patch["metadata"] = {"annotations": {SKIP: None}}
    place.patch("web", patch)
    result = run.end()
    assert result.status == 0, result
    assert "application 'web': another sync by alice took the place of ours; asking again" \
        in result.err
    ours = place.asked("web")[since:]
    assert len(ours) == 2 and ours[0]["info"][0] != ours[1]["info"][0]
    assert place.greeting() == "Good evening"


def test_an_operation_that_vanishes_is_asked_for_again(race):
    """Argo CD writes an ended operation away, and one that came in between with it."""
    place = race()
    assert place.deploy().status == 0
    place.freeze("web")
    since = len(place.asked("web"))
    place.greet("Good evening")
    run = place.start()
    wait_for(lambda: len(place.asked("web")) > since)
    place.patch("web", {"operation": None, "metadata": {"annotations": {SKIP: None}}})
    result = run.end()
    assert result.status == 0, result
    assert "; asking again" in result.err
    assert len(place.asked("web")) == since + 2
    assert place.greeting() == "Good evening"


def test_patches_collide_with_others_writes(race):
    """Somebody annotates the applications all the time; each of our patches is made from what it
    changes, so that none is lost or done twice."""
    place = race()
    assert place.deploy().status == 0
    since = {app: len(place.asked(app)) for app in CHILDREN}
    commit = place.greet("Good evening")
    over = threading.Event()

    def annotate():
        for i in range(1000):
            if over.is_set():
                return
            place.kubectl("annotate", "--overwrite", "applications", "-n", "argocd", "--all",
                          f"example.com/n={i}")

    other = threading.Thread(target=annotate)
    other.start()
    result = place.start().end()
    over.set()
    other.join()
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {commit[:12]}
    assert {app: len(place.asked(app)) - since[app] for app in CHILDREN} == dict.fromkeys(CHILDREN, 1)


WIDGETS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


def test_a_sync_that_fails_at_first_is_waited_for(race):
    """The definition of a kind comes with another application of the same turn, a moment later."""
    place = race()
    assert place.deploy().status == 0
    place.freeze("web")
    (place.clone / "web/base/widgets.yaml").write_text(WIDGETS)
    place.edit("web/base/kustomization.yaml", "resources:\n", "resources:\n- widgets.yaml\n")
    (place.clone / "ops/widget.yaml").write_text(
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: ops}\n")
    place.commit()
    since = len(place.asked("ops"))
    run = place.start()
    place.wait_for_state("progressing", "the sync failed and will be tried again", app="ops")
    place.freeze("web", False)
    result = run.end()
    assert result.status == 0, result
    assert len(place.asked("ops")) == since + 1  # Argo CD itself tried again


# ---- comparisons and health ----

def refreshes(place, app):
    return [e for e in place.writes() if e["path"].endswith("/" + app) and e["status"] == 200
            and "argocd.argoproj.io/refresh" in str(e["body"].get("metadata"))]


@pytest.mark.parametrize("app", ["argocd-config", "web"])
def test_a_comparison_that_is_lost_is_asked_for_again(race, app):
    """On a cluster that watches a branch, where Argo CD would look at it by itself an hour later."""
    place = race(f"application={app},argocd=lose-refresh,n=2,count=2",
                 timings=(*QUICK, "poll=1h"))
    result = place.start("--cluster", "stage").end()
    assert result.status == 0, result
    commit = place.greet("Good evening")
    before = len(refreshes(place, app))
    result = place.start("--cluster", "stage").end()
    assert result.status == 0, result
    assert place.greeting() == "Good evening"
    assert {row[0] for row in rows(result).values()} == {commit[:12]}
    assert len(refreshes(place, app)) - before >= 2


def test_a_sync_that_is_not_compared_is_asked_for(race):
    """The comparison that follows a sync does not take place, and nothing else happens."""
    place = race("application=namespaces,argocd=lose-refresh,n=1", timings=(*QUICK, "poll=1h"))
    result = place.start().end()
    assert result.status == 0, result
    assert place.states("namespaces")[-1][0] == "done"


def test_health_that_flaps_is_not_a_failure(race):
    place = race("application=web,argocd=degraded,n=4,count=2")
    assert place.deploy().status == 0
    place.greet("Good evening")
    result = place.start("--set", "deploy.degradedGrace=5m").end()
    assert result.status == 0, result
    assert place.states()[-1][0] == "done"
    assert place.greeting() == "Good evening"


def test_what_stays_degraded_fails_after_its_grace(race):
    place = race("application=web,argocd=degraded,n=1,count=0")
    result = place.start().end()
    assert result.status == 1, result
    assert "application 'web': Degraded" in result.err
    assert rows(result)["ops"][-1].startswith("live")
    assert "done" not in [state for state, _, _ in place.states()]


def test_who_falls_ill_in_the_stability_window_is_waited_for(race):
    place = race(timings=("reconcile=20ms", "rollout=700ms"))
    run = place.start("--stable-for", "4s", "--set", "deploy.degradedGrace=5m")
    for app in CHILDREN:
        place.wait_for_state("done", app=app)
    assert place.ask("DELETE", "/api/v1/namespaces/web/pods") == 200  # before the window is over
    place.wait_for_state("settling")
    result = run.end()
    assert result.status == 0, result
    states = [state for state, _, _ in place.states()]
    ill = len(states) - 1 - states[::-1].index("settling")
    assert "done" in states[:ill] and states[ill + 1:] == ["done"]


# ---- a parent that sets things back ----

def test_a_parent_that_reverts_the_root_is_named(race):
    """An application above the root, with selfHeal: what it renders is what stays."""
    place = race()
    (place.clone / "above").mkdir()
    (place.clone / "above/root.yaml").write_text(f"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: argocd-config, namespace: argocd}}
spec:
  project: default
  source: {{repoURL: "{REPO}", targetRevision: master, path: argocd-config/overlays/gcp}}
  destination: {{server: "https://kubernetes.default.svc", namespace: argocd}}
""")
    place.commit()
    place.kubectl("apply", "-f", "-", given=f"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: above, namespace: argocd}}
spec:
  project: default
  source: {{repoURL: "{REPO}", targetRevision: master, path: above}}
  destination: {{server: "https://kubernetes.default.svc", namespace: argocd}}
  syncPolicy: {{automated: {{selfHeal: true}}}}
""")
    wait_for(lambda: "argocd-config" in place.kubectl("get", "applications", "-n", "argocd"))
    result = place.deploy("--timeout", "5m")
    assert result.status == 1, result
    assert "application 'argocd-config': its revision is set back again and again" in result.err
    assert "last set by argocd-controller; is there a parent with selfHeal?" in result.err


# ---- the API server ----

@pytest.mark.parametrize("moment", [
    "method=PATCH,path=*/applications/web,n=1",
    f"method=GET,path={APPS},query=*watch*,n=1",
    "method=GET,path=*/leases,query=*watch*,n=1",
    f"method=POST,path={APPS},n=1,after",
    "method=GET,path=/apis/apps/v1/*,n=1",
], ids=["patch", "watch", "lease", "created", "install"])
def test_the_api_server_restarts(race, moment):
    place = race(f"{moment},down=700ms")
    result = place.deploy("--timeout", "5m")
    assert result.status == 0, result
    assert [e for e in place.emulator.log() if "down=" in e.get("fault", "")]
    assert {row[0] for row in rows(result).values()} == {place.head()[:12]}
    for app in CHILDREN:
        assert len(place.asked(app)) == 1


def test_the_api_server_restarts_in_the_stability_window(race):
    """What happened while nobody looked is seen afterwards: the old watch is gone (410)."""
    place = race("path=/now,down=1500ms")
    run = place.start("--stable-for", "7s")
    for app in CHILDREN:
        place.wait_for_state("done", app=app)
    assert place.ask("POST", "/api/v1/namespaces/default/configmaps", {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}) == 201
    assert place.ask("GET", "/now") == 0
    result = run.end()
    assert result.status == 0, result
    lists = [e for e in place.emulator.log() if e["method"] == "GET" and e["path"] == APPS
             and "watch" not in e["query"]]
    assert len(lists) >= 2


# ---- Argo CD itself ----

@pytest.mark.parametrize("n", [1, 2, 3])
def test_argo_cd_restarts_in_the_middle_of_a_sync(race, n):
    place = race(f"application=*,argocd=restart,n={n},pause=500ms")
    result = place.deploy("--timeout", "5m")
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {place.head()[:12]}


CONTROLLER = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: argocd-application-controller, namespace: argocd}
spec:
  serviceName: argocd-application-controller
  replicas: 1
  selector: {matchLabels: {app.kubernetes.io/name: argocd-application-controller}}
  template:
    metadata: {labels: {app.kubernetes.io/name: argocd-application-controller}}
    spec:
      containers:
      - {name: argocd-application-controller, image: "quay.io/argoproj/argocd:v2.14.20"}
"""


def test_argo_cd_is_one_of_the_apps(race):
    """The commit brings another Argo CD, which replaces the one that is at work on it."""
    place = race()
    (place.clone / "argocd").mkdir()
    (place.clone / "argocd/controller.yaml").write_text(CONTROLLER)
    base = place.clone / "argocd-config/base"
    (base / "argocd.yaml").write_text((base / "ops.yaml").read_text()
                                      .replace("name: ops", "name: argocd")
                                      .replace("path: ops", "path: argocd")
                                      .replace("namespace: ops", "namespace: argocd"))
    place.edit("argocd-config/base/kustomization.yaml", "- ops.yaml", "- argocd.yaml\n- ops.yaml")
    place.edit("app-sync-order.txt", "namespaces\n", "argocd\nnamespaces\n")
    commit = place.commit()
    result = place.deploy("--timeout", "5m")
    assert result.status == 0, result
    assert rows(result)["argocd"][0] == commit[:12]
    place.edit("argocd/controller.yaml", "v2.14.20", "v2.14.21")
    place.greet("Good evening")
    result = place.deploy("--timeout", "5m")
    assert result.status == 0, result
    assert place.greeting() == "Good evening"
    log = (place.folder / "emulator.err").read_text()
    assert "the controller starts again as v2.14.20" in log
    assert "the controller starts again as v2.14.21" in log


# ---- real sizes, several sources ----

def test_an_application_of_40_kb(race):
    place = race()
    names = [f"settings-{i:03}" for i in range(150)]
    (place.clone / "ops/settings.yaml").write_text("---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ops}}\n"
        f"data: {{a: b}}\n" for name in names))
    place.commit()
    result = place.deploy()
    assert result.status == 0, result
    assert len(json.dumps(place.application("ops"))) > 40_000
    place.edit("ops/settings.yaml", "a: b", "a: c")
    commit = place.commit()
    result = place.deploy()
    assert result.status == 0, result
    assert rows(result)["ops"][0] == commit[:12]


@pytest.mark.parametrize("argocd", ["v2.14.21", "v2.8.4"])
def test_each_of_several_sources_keeps_or_gets_its_revision(folder, start_emulator, argocd):
    other = "https://github.com/example/other.git"
    (folder / "other.git").mkdir()
    place = Race(folder, start_emulator, argocd=argocd, mirrors=[f"{other}={folder / 'other.git'}"])
    place.git("tag", "v1.0")
    place.git("clone", "-q", "--bare", place.clone, folder / "other.git")
    for name in ("one", "two"):
        (place.clone / "several" / name).mkdir(parents=True)
        (place.clone / "several" / name / "map.yaml").write_text(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ops}}\n")
    file = place.clone / "argocd-config/base/ops.yaml"
    head, _, tail = file.read_text().partition("  source:\n")
    tail = tail[tail.index("  destination:"):]
    file.write_text(f"""{head}  sources:
  - {{repoURL: "{REPO}", targetRevision: release, path: several/one}}
  - {{repoURL: "{other}", targetRevision: v1.0, path: ops}}
  - {{repoURL: "{REPO}", targetRevision: release, path: several/two}}
{tail}""")
    for _ in range(2):
        (place.clone / "note").write_text(place.head())
        commit = place.commit()
        result = place.deploy("--timeout", "5m")
        assert result.status == 0, result
        app = place.application("ops")
        foreign = place.head("v1.0")
        assert [s["targetRevision"] for s in app["spec"]["sources"]] == [commit, "v1.0", commit]
        assert app["status"]["sync"]["revisions"] == [commit, foreign, commit]
        assert app["status"]["operationState"]["syncResult"]["revisions"] == [commit, foreign,
                                                                              commit]
        assert "automated" not in app["spec"].get("syncPolicy", {})
