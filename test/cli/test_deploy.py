"""necoops-deploy against the emulator's clusters."""
import json
import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from clones import REPO, Rehearsal
from conftest import ROOT, clean_environ

APPS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
QUICK = ("reconcile=20ms", "rollout=60ms")
CHILDREN = ["namespaces", "ops", "web"]


class Place(Rehearsal):
    """An emulator with a cluster, and a clone of the rehearsal's apps."""

    def __init__(self, folder, start_emulator, argocd="v2.14.21", timings=QUICK, mirrors=(),
                 cluster=None, clusters=None, **kwargs):
        super().__init__(folder)
        seed = {"clusters": clusters or {
            "ci": {"nodes": 2, "kubeconfig": str(folder / "kubeconfig"), "argocd": argocd,
                   **(cluster or {})}}}
        self.emulator = start_emulator(seed=seed, mirrors=[f"{REPO}={self.bare}", *mirrors],
                                       timings=timings, **kwargs)
        self.configure()

    def configure(self, more=""):
        (self.folder / "necoops.yaml").write_text(f"""\
apps: {{repoURL: "{REPO}", root: argocd-config}}
deploy: {{stableFor: 300ms, degradedGrace: 300ms}}
clusters:
  neco-ops: {{path: argocd-config/overlays/gcp, kubeconfig: kubeconfig}}
  stage: {{path: argocd-config/overlays/stage, revision: master, sync: automated, kubeconfig: kubeconfig}}
  bk: {{enabled: false, reason: to be decided}}
{more}""")

    def break_web(self, image):
        """A commit whose web never runs, which Kubernetes says after a second."""
        self.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", image)
        self.edit("web/base/deployment.yaml", "spec:\n", "spec:\n  progressDeadlineSeconds: 1\n")
        return self.commit()

    def argv(self, *args):
        return ["necoops-deploy", "-c", self.folder / "necoops.yaml", *args]

    def deploy(self, *args, **kwargs):
        return self.emulator.run(*self.argv(*args), cwd=self.clone, **kwargs)

    def start(self, *args, **kwargs):
        return self.emulator.start(*self.argv(*args), cwd=self.clone, **kwargs)

    def writes(self):
        """What was asked of applications by us."""
        return [e for e in self.emulator.log()
                if e["method"] in ("POST", "PATCH", "PUT", "DELETE") and e["path"].startswith(APPS)]

    def application(self, name):
        """As the last answer to a list or a watch of ours does not tell it: asked with kubectl."""
        out = subprocess.run(["kubectl", "--kubeconfig", str(self.folder / "kubeconfig"), "get",
                              "applications", "-n", "argocd", name, "-o", "json"],
                             env=clean_environ(), check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(out.stdout)


@pytest.fixture
def place(folder, start_emulator):
    return Place(folder, start_emulator)


def rows(result):
    """The table: name → its columns."""
    lines = [re.split(r"  +", line.strip()) for line in result.out.split("\n\n")[0].splitlines()]
    assert lines[0] == ["APPLICATION", "REVISION", "SYNC", "HEALTH", "TIME", "MESSAGE"], result
    return {line[0]: line[1:] for line in lines[1:]}


# ---- the plain way ----

def test_a_commit_is_deployed(place):
    result = place.deploy()
    assert result.status == 0, result
    commit = place.head()
    table = rows(result)
    assert list(table) == ["argocd-config", "namespaces", "ops", "web"]
    for row in table.values():
        assert row[:3] == [commit[:12], "Synced", "Healthy"] and row[-1] == "live"
    root = place.application("argocd-config")
    assert root["spec"]["source"]["targetRevision"] == commit
    names = [p["target"]["name"] for p in root["spec"]["source"]["kustomize"]["patches"]]
    assert names == CHILDREN
    for name in CHILDREN:
        app = place.application(name)
        assert app["spec"]["source"]["targetRevision"] == commit
        assert "automated" not in app["spec"].get("syncPolicy", {})
        assert app["status"]["operationState"]["operation"]["initiatedBy"]["username"] == "necoops"
    # one creation, one guarded patch a child
    assert [e["method"] for e in place.writes() if e["status"] < 300] == ["POST"] + 3 * ["PATCH"]
    for entry in place.writes()[1:]:
        assert entry["body"]["metadata"]["resourceVersion"]
        assert entry["body"]["operation"]["sync"]["revision"] == commit


def test_the_order_of_app_sync_order_is_kept(place):
    assert place.deploy().status == 0
    done = [e["path"].rsplit("/", 1)[1] for e in place.writes() if e["status"] == 200]
    assert done[0] == "namespaces" and sorted(done[1:]) == ["ops", "web"]


def test_one_list_and_one_watch_however_long_it_takes(place):
    result = place.deploy("--stable-for", "3s")
    assert result.status == 0, result
    reads = [e for e in place.emulator.log() if e["method"] == "GET" and e["path"] == APPS]
    assert len([e for e in reads if "watch" not in e["query"]]) == 1
    assert len([e for e in reads if "watch" in e["query"]]) <= 1


def test_a_commit_that_is_live_already_is_left_alone(place):
    assert place.deploy().status == 0
    before = len(place.writes())
    result = place.deploy("--stable-for", "30s")
    assert result.status == 0, result
    assert [row[-1] for row in rows(result).values()] == 4 * ["already live"]
    assert len(place.writes()) == before


def test_an_older_argo_cd_has_its_children_patched(folder, start_emulator):
    place = Place(folder, start_emulator, argocd="v2.8.4")
    result = place.deploy()
    assert result.status == 0, result
    assert "kustomize" not in place.application("argocd-config")["spec"]["source"]
    for name in CHILDREN:
        assert place.application(name)["spec"]["source"]["targetRevision"] == place.head()
    place.commit()
    assert place.deploy().status == 0
    assert place.application("web")["spec"]["source"]["targetRevision"] == place.head()


def test_a_child_of_another_repository_keeps_its_revision(folder, start_emulator):
    other = "https://github.com/example/other.git"
    (folder / "other.git").mkdir()
    place = Place(folder, start_emulator, mirrors=[f"{other}={folder / 'other.git'}"])
    place.git("tag", "v1.0")
    place.git("clone", "-q", "--bare", place.clone, folder / "other.git")
    place.edit("argocd-config/base/ops.yaml", REPO, other)
    place.edit("argocd-config/base/ops.yaml", "release", "v1.0")
    place.commit()
    result = place.deploy()
    assert result.status == 0, result
    ops = place.application("ops")
    assert ops["spec"]["source"]["targetRevision"] == "v1.0"
    assert "automated" in ops["spec"]["syncPolicy"]
    assert not any(e["path"].endswith("/ops") for e in place.writes())
    assert rows(result)["ops"][0] == place.head("v1.0")[:12]


def test_a_child_whose_repository_is_not_there(place):
    place.edit("argocd-config/base/ops.yaml", REPO, "https://github.com/example/gone.git")
    place.commit()
    result = place.deploy()
    assert result.status == 1, result
    assert "application 'ops': ComparisonError: " in result.err
    assert "repository 'https://github.com/example/gone.git' not found" in result.err


def test_json_and_reports(place):
    result = place.deploy("-o", "json", "--junit", "../j.xml", "--events", "../e.jsonl")
    assert result.status == 0, result
    data = result.json
    assert data["status"] == 0 and data["revision"] == place.head()
    assert data["argocd"] == "quay.io/argoproj/argocd:v2.14.21"
    assert {a["name"]: a["state"] for a in data["apps"]} == {
        n: "done" for n in ["argocd-config", *CHILDREN]}
    suite = ElementTree.parse(place.folder / "j.xml").getroot().find("testsuite")
    assert suite.get("tests") == "4" and suite.get("failures") == "0"
    assert [c.get("name") for c in suite.findall("testcase")] == ["argocd-config", *CHILDREN]
    events = [json.loads(line) for line in (place.folder / "e.jsonl").read_text().splitlines()]
    assert events[0]["type"] == "start" and events[-1]["type"] == "end"
    assert all(e["version"] == 1 and e["time"] for e in events)
    assert events[-1]["apps"] == data["apps"]


def test_a_dry_run_changes_nothing(place):
    result = place.deploy("--dry-run")
    assert result.status == 0, result
    assert "would be created" in rows(result)["web"][-1]
    assert place.writes() == []
    assert place.deploy().status == 0
    before, old = len(place.writes()), place.head()
    new = place.commit()
    result = place.deploy("--dry-run")
    assert rows(result)["web"][-1] == f"would go from '{old[:12]}' to '{new[:12]}'"
    assert len(place.writes()) == before


# ---- which commit ----

def test_ci_says_which_commit(place):
    old = place.head()
    place.commit()
    result = place.deploy(env={"CIRCLE_SHA1": old})
    assert result.status == 0, result
    assert rows(result)["web"][0] == old[:12]


def test_a_commit_that_was_not_pushed_is_refused(place):
    commit = place.commit(push=False)
    result = place.deploy()
    assert result.status == 2, result
    assert f"commit '{commit[:12]}' is not in '{REPO}', so Argo CD cannot fetch it" in result.err
    assert "push it first" in result.err
    assert place.writes() == []


def test_uncommitted_changes_are_told(place):
    (place.clone / "ops/new.yaml").write_text("{}")
    result = place.deploy()
    assert result.status == 0, result
    assert "changes that are not committed are not deployed: ops/new.yaml" in result.err


@pytest.mark.parametrize("args, words", [
    (["--revision", "nowhere"], "revision 'nowhere' is not in the repository"),
    (["--cluster", "nope"], "cluster 'nope' is not in the configuration"),
    (["--cluster", "bk"], "cluster 'bk' is not enabled: to be decided"),
    (["--apps", "nothing*"], "no application is selected"),
    (["--in-progress", "maybe"], "maybe"),
    (["--set", "clusters.neco-ops.kubeconfig=nowhere"], "nowhere"),
    (["--set", "clusters.neco-ops.path=nowhere"], "nowhere: there is no such folder"),
    (["--set", "clusters.neco-ops.kubeconfig=in-cluster"],
     "clusters.neco-ops.kubeconfig: in-cluster: this is no pod of a cluster: "),
])
def test_wrong_use(place, args, words):
    result = place.deploy(*args)
    assert result.status == 2, result
    assert words in result.err


# ---- which apps ----

def test_only_the_apps_asked_for(place):
    assert place.deploy().status == 0
    place.commit()
    result = place.deploy("--apps", "w*")
    assert result.status == 0, result
    assert list(rows(result)) == ["argocd-config", "web"]


def test_only_what_changed(place):
    assert place.deploy().status == 0
    base = place.head()
    place.edit("web/base/configmap.yaml", "Good morning", "Good evening")
    place.commit()
    result = place.deploy("--changed-since", base)
    assert result.status == 0, result
    assert list(rows(result)) == ["argocd-config", "web"]
    place.edit("ops/serviceaccount.yaml", "delete", "watch")
    place.commit()
    result = place.deploy("--changed-since", base)
    assert list(rows(result)) == ["argocd-config", "ops", "web"]


def test_what_the_commit_no_longer_has_is_named_or_pruned(place):
    place.edit("argocd-config/base/ops.yaml", "      prune: true\n", "")
    place.commit()
    assert place.deploy().status == 0
    place.git("rm", "-q", "ops/serviceaccount.yaml")
    place.edit("ops/deployment.yaml", "      serviceAccountName: sweeper\n", "")
    place.commit()
    result = place.deploy()
    assert result.status == 0, result
    assert "'ops/sweeper' is no longer in the commit, and still in the cluster" in result.err
    result = place.deploy("--prune")
    assert result.status == 0, result
    assert "no longer in the commit" not in result.err


# ---- why not ----

def test_a_manifest_that_does_not_parse_is_found_before_anything_is_touched(place):
    (place.clone / "ops/bad.yaml").write_text("kind: ConfigMap\ndata: {a: [}\n")
    place.commit()
    result = place.deploy("--junit", "../j.xml")
    assert result.status == 2, result
    assert re.search(r"1 fault in its manifests, so nothing was touched: ops/bad\.yaml:2:\d+: ",
                     result.err)
    assert "ops/bad.yaml:2 (changed by this commit)" in result.out
    assert place.writes() == []
    case = ElementTree.parse(place.folder / "j.xml").getroot().find(".//testcase[@name='ops']")
    assert case.get("file") == "ops/bad.yaml" and case.get("line") == "2"
    assert place.deploy("--check").status == 2


def test_argo_cd_cannot_render_it(place):
    (place.clone / "ops/bad.yaml").write_text("kind: ConfigMap\ndata: {a: [}\n")
    place.commit()
    result = place.deploy("--no-check")
    assert result.status == 1, result
    assert "application 'ops': " in result.err and "ComparisonError" in result.err
    assert "ops/bad.yaml:2 (changed by this commit)" in result.out


def test_a_kind_that_nobody_knows(place):
    assert place.deploy().status == 0
    place.edit("ops/deployment.yaml", "apps/v1", "nobody.example.com/v1")
    place.commit()
    result = place.deploy()
    assert result.status == 1, result
    assert "could not find nobody.example.com/Deployment" in result.err
    assert "    ops/deployment.yaml:1 (changed by this commit)" in result.out
    assert rows(result)["web"][-1].startswith("live")


def test_an_image_that_cannot_be_pulled(place):
    place.break_web("example.invalid/web:1")
    result = place.deploy()
    assert result.status == 1, result
    assert "Deployment web/web" in result.err
    assert 'Back-off pulling image "example.invalid/web:1"' in result.out \
        or 'Failed to pull image "example.invalid/web:1"' in result.out
    assert "web/base/deployment.yaml:19 (changed by this commit)" in result.out


def test_a_container_that_crashes_shows_its_last_words(place):
    place.break_web("quay.io/x/crash-loop:1")
    result = place.deploy()
    assert result.status == 1, result
    assert "container 'web'" in result.out and "ended with status 1: Error" in result.out, result
    assert "last lines of its log:\n" in result.out
    assert "fatal: web exits with status 1" in result.out
    assert "web/base/deployment.yaml:18" in result.out


def test_what_is_broken_is_left_behind_by_the_next_commit(place):
    assert place.deploy().status == 0
    place.edit("ops/deployment.yaml", "apps/v1", "nobody.example.com/v1")
    place.commit()
    assert place.deploy().status == 1
    place.git("revert", "--no-edit", "HEAD")
    place.git("push", "-q", "origin", "HEAD")
    result = place.deploy()
    assert result.status == 0, result


def test_argo_cd_is_missing(folder, start_emulator):
    place = Place(folder, start_emulator, argocd=False)
    result = place.deploy()
    assert result.status == 1, result
    assert "Argo CD is not in cluster 'neco-ops'" in result.err


INSTALL = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: argocd-repo-server}
spec:
  selector: {matchLabels: {app: r}}
  template:
    metadata: {labels: {app: r}}
    spec: {containers: [{name: r, image: "quay.io/argoproj/argocd:v2.14.21"}]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: applications.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Application, plural: applications, singular: application, listKind: ApplicationList}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: first}
spec: {project: default}
"""


def test_bootstrap_installs_definitions_first_and_again_without_harm(folder, start_emulator):
    place = Place(folder, start_emulator, argocd=False)
    (folder / "install.yaml").write_text(INSTALL)
    place.configure("argocd: {install: install.yaml}\n")
    run = place.start("--bootstrap")
    run.wait_for("Argo CD is installed: 3 objects of 'install.yaml'")
    run.signal(signal.SIGINT)  # nothing runs these manifests here
    assert run.end().status == 130
    assert place.application("first")["metadata"]["namespace"] == "argocd"
    (folder / "install.yaml").write_text(INSTALL + "---\napiVersion: v1\nkind: Nobody\nmetadata: {name: x}\n")
    subprocess.run(["kubectl", "--kubeconfig", str(folder / "kubeconfig"), "-n", "argocd", "delete",
                    "deployment", "argocd-repo-server"], env=clean_environ(), check=True)
    result = place.deploy("--bootstrap")
    assert result.status == 2, result
    assert "install.yaml:28: Nobody 'x': the cluster has no kind 'Nobody' in 'v1'" in result.err


NOTIFICATIONS = ROOT / "examples/argocd-notifications"


def test_bootstrap_applies_further_manifests_each_time(folder, start_emulator):
    place = Place(folder, start_emulator)
    shutil.copytree(NOTIFICATIONS, folder / "notifications")
    (folder / "more.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, "
                                      "namespace: other}\n---\napiVersion: v1\nkind: Namespace\n"
                                      "metadata: {name: other}\n")
    place.configure("argocd: {manifests: [notifications/stage, more.yaml]}\n")

    def found(*args):
        out = subprocess.run(["kubectl", "--kubeconfig", str(folder / "kubeconfig"), "get",
                              "configmap", *args, "-o", "json"], env=clean_environ(), check=True,
                             stdout=subprocess.PIPE, text=True)
        return json.loads(out.stdout)

    assert place.deploy("--bootstrap", "--dry-run").status == 0
    assert not [e for e in place.emulator.log() if e["method"] == "PATCH" and "other" in e["path"]]
    for _ in range(2):
        result = place.deploy("--bootstrap")
        assert result.status == 0, result
        assert re.search(r"applied: 1 object of '.*/notifications/stage'", result.err), result
        assert re.search(r"applied: 2 objects of '.*/more.yaml'", result.err), result
        made = found("argocd-notifications-cm", "-n", "argocd")
        assert made["data"]["context"].startswith("cluster: stage\n")
        assert {"service.alertmanager", "trigger.on-deployed", "template.degraded",
                "subscriptions"} <= set(made["data"])
        assert made["metadata"]["labels"]["app.kubernetes.io/part-of"] == "argocd"
        found("more", "-n", "other")
    file = folder / "notifications/stage/kustomization.yaml"  # the same, as it is written today
    before = file.read_text()
    file.write_text("resources: [../base]\npatches: [{path: context.yaml}]\n")
    (folder / "notifications/stage/context.yaml").write_text(
        (NOTIFICATIONS / "stage/context.yaml").read_text().replace("cluster: stage", "cluster: s2"))
    assert place.deploy("--bootstrap").status == 0
    assert found("argocd-notifications-cm", "-n", "argocd")["data"]["context"].startswith("cluster: s2\n")
    file.write_text(before)
    # where the folder is not one that can be built here, nothing of it is applied
    for old, new, text in (
            ("bases:", "images: [{name: a}]\nbases:", "'images' is more of kustomize than"),
            ("context.yaml", "nothing.yaml", "nothing.yaml"),
            ("- context.yaml", "- |\n  kind: ConfigMap", "a patch that is no file's name alone"),
            ("../base", "https://example.com/base", "'https://example.com/base' is not on this"),
            ("../base", ".", "in a circle"),
            ("../base", "../base\n- ../base", "is there twice")):
        file = folder / "notifications/stage/kustomization.yaml"
        before = file.read_text()
        file.write_text(before.replace(old, new))
        result = place.deploy("--bootstrap")
        assert result.status == 2 and "argocd.manifests: " in result.err, result
        assert text in result.err, result
        file.write_text(before)
    file = folder / "notifications/stage/context.yaml"
    before = file.read_text()
    for old, new, text in (
            ("argocd-notifications-cm", "other", "patches ConfigMap 'other', which is not there"),
            ("\ndata:", "\nlist: [1]\ndata:", "has a list or '$' directive")):
        file.write_text(before.replace(old, new))
        result = place.deploy("--bootstrap")
        assert result.status == 2 and text in result.err, result


# ---- no cluster ----

def test_without_an_instance_there_is_no_cluster(place):
    place.configure('project: neco-test\nzones: [asia-northeast1-c]\n'
                    'schedule: {timeZone: Asia/Tokyo, up: "07:30", down: "21:00", '
                    'days: [sun, mon, tue, wed, thu, fri, sat]}\n')
    result = place.deploy()
    assert result.status == 3, result
    assert "there is no cluster 'neco-ops': instance 'neco-ops' does not exist" in result.err
    result = place.deploy("--if-no-cluster", "skip", "-o", "json")
    assert result.status == 0, result
    assert result.json["noCluster"] and "skipped" in result.err


def test_a_cluster_that_does_not_answer(place):
    text = (place.folder / "kubeconfig").read_text()
    (place.folder / "kubeconfig").write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", text))
    result = place.deploy("--timeout", "60s")
    assert result.status == 1, result
    assert "cluster 'neco-ops' does not answer at 'https://127.0.0.1:" in result.err


def test_a_cluster_that_refuses_us(place):
    text = (place.folder / "kubeconfig").read_text()
    text = re.sub(r"client-certificate-data: .*", "token: wrong", text)
    (place.folder / "kubeconfig").write_text(re.sub(r"\n *client-key-data: .*", "", text))
    result = place.deploy()
    assert result.status == 4, result
    assert "Unauthorized" in result.err


# ---- one at a time, and ends ----

def test_two_at_once_take_turns(place):
    first = place.head()
    second = place.commit()
    slow = place.start("--revision", first, "--stable-for", "2s", "-v")
    slow.wait_for("argocd-config: ")
    quick = place.start("--revision", second, "-v")
    assert slow.end().status == 0
    assert quick.end().status == 0
    names = [(e["path"].rsplit("/", 1)[-1], e["body"]["operation"]["sync"]["revision"])
             for e in place.writes() if e["status"] < 300]
    assert [r for _, r in names] == sorted([r for _, r in names], key=[first, second].index)
    assert place.application("web")["spec"]["source"]["targetRevision"] == second


def test_who_does_not_want_to_wait_is_told_who_has_it(place):
    slow = place.start("--stable-for", "1h", "-v", env={"CIRCLE_BUILD_URL": "https://ci/job/7"})
    slow.wait_for("argocd-config: ")
    result = place.deploy("--lock-timeout", "300ms")
    assert result.status == 5, result
    assert "the cluster is held by https://ci/job/7 (commit " in result.err
    slow.signal(signal.SIGINT)
    assert slow.end().status == 130


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_all_reports(place, number, status):
    run = place.start("--stable-for", "1h", "--junit", "../j.xml", "--events", "../e.jsonl", "-v")
    for app in CHILDREN:
        run.wait_for(f"{app}: done")
    run.signal(number)
    result = run.end()
    assert result.status == status, result
    assert list(rows(result)) == ["argocd-config", *CHILDREN]
    assert len(ElementTree.parse(place.folder / "j.xml").getroot().findall(".//testcase")) == 5
    last = json.loads((place.folder / "e.jsonl").read_text().splitlines()[-1])
    assert last["type"] == "end" and last["status"] == status
    result = place.deploy("--lock-timeout", "0s")  # the lease was given back
    assert result.status == 0, result


def test_the_time_is_up(place):
    place.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", "example.invalid/web:1")
    place.commit()
    result = place.deploy("--timeout", "1s", "--set", "deploy.degradedGrace=1m", "--junit", "../j.xml")
    assert result.status == 6, result
    assert "timed out waiting for " in result.err
    assert (place.folder / "j.xml").exists()


# ---- a cluster that watches a branch ----

def test_stage_follows_master(place):
    result = place.deploy("--cluster", "stage")
    assert result.status == 0, result
    root = place.application("argocd-config")
    assert root["spec"]["source"]["targetRevision"] == "master"
    assert root["spec"]["source"]["path"] == "argocd-config/overlays/stage"
    assert root["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert rows(result)["web"][0] == place.head()[:12]
    place.edit("web/base/configmap.yaml", "Good morning", "Good night")
    commit = place.commit()
    result = place.deploy("--cluster", "stage")
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {commit[:12]}


def test_a_commit_after_a_branch_and_back(place):
    assert place.deploy("--cluster", "stage").status == 0
    result = place.deploy()
    assert result.status == 0, result
    assert "automated" not in place.application("argocd-config")["spec"].get("syncPolicy", {})
    assert place.deploy("--cluster", "stage").status == 0
    root = place.application("argocd-config")
    assert "patches" not in root["spec"]["source"].get("kustomize", {})


# ---- bad weather ----

@pytest.mark.parametrize("fault", [
    f"method=PATCH,path={APPS}/*,n=1,count=2,status=409",
    f"method=PATCH,path={APPS}/*,n=1,count=1,status=429,retry-after=0",
    f"method=PATCH,path={APPS}/*,n=1,count=1,reset,after",
    f"method=GET,path={APPS},query=watch*,n=1,count=2,status=410",
    f"method=GET,path={APPS},query=watch*,n=1,count=1,truncate=3000",
    f"method=GET,path={APPS},query=watch*,n=1,count=2,reset",
    f"method=GET,path={APPS},n=1,count=1,status=503",
    f"method=GET,path={APPS},n=1,count=1,badjson",
    "method=PUT,path=*leases*,n=1,count=1,status=409",
    "method=GET,path=/version,n=1,count=1,reset",
])
def test_faults_that_pass(folder, start_emulator, fault):
    place = Place(folder, start_emulator, faults=[fault])
    result = place.deploy()
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {place.head()[:12]}


# ---- permissions ----

def as_service_account(place):
    file = place.folder / "kubeconfig"
    admin = place.folder / "admin.kubeconfig"
    admin.write_text(file.read_text())
    subprocess.run(["kubectl", "--kubeconfig", str(admin), "apply", "-f",
                    str(ROOT / "examples/rbac/deploy.yaml")], env=clean_environ(), check=True)
    text = file.read_text()
    file.write_text(re.sub(r"( *)client-certificate-data:",
                           r"\1as: system:serviceaccount:argocd:necoops-deploy\n\1client-certificate-data:",
                           text))
    return admin


def test_the_least_rbac_is_enough(place):
    admin = as_service_account(place)
    place.break_web("example.invalid/web:1")
    result = place.deploy()
    assert result.status == 1, result
    assert "web/base/deployment.yaml:19 (changed by this commit)" in result.out
    place.git("revert", "--no-edit", "HEAD")
    place.git("push", "-q", "origin", "HEAD")
    result = place.deploy()
    assert result.status == 0, result
    subprocess.run(["kubectl", "--kubeconfig", str(admin), "-n", "argocd", "delete", "role",
                    "necoops-deploy"], env=clean_environ(), check=True)
    place.commit()
    result = place.deploy()
    assert result.status == 4, result
    assert 'cannot list resource' in result.err
