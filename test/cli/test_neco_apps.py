"""A real apps repository, of three dates of 2019: each commit deployed, upgrades from one to the
next, and each app selected by what changed. Its Argo CD is one of its apps and replaces the one that
was there (2.14) by its own: 0.12, then 1.1, which know no kustomize patches in a source."""
import json
import re
import subprocess

import pytest

from clones import Clone
from conftest import ROOT, clean_environ, run_program

BUNDLE = ROOT.parent / "shared/data/neco-apps-2019.bundle"
PREREQUISITES = ROOT / "examples/rehearsal/prerequisites/neco-apps.yaml"
KUBERNETES = "v1.15.12"  # the last that takes manifests of its time
CONFIG_PATH = "argocd-config/overlays/gcp"
APPS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
URLS = [f"https://github.com/cybozu-go/{name}.git" for name in ("neco-apps", "neco-ops")]

pytestmark = pytest.mark.skipif(not BUNDLE.exists(), reason="no ../shared beside the project")


class NecoApps(Clone):
    """The repository, and a clone of it to work in."""

    def __init__(self, folder):
        super().__init__(folder, BUNDLE)
        self.oldest, older, newest = self.git("rev-list", "--reverse", "master").split()
        self.commits = [self.put_right(self.oldest), self.put_right(older), newest]
        (folder / "necoops.yaml").write_text(f"""\
apps: {{repoURL: "{URLS[0]}", root: argocd-config}}
deploy: {{stableFor: 300ms, syncRetries: 0}}
clusters: {{neco-ops: {{path: {CONFIG_PATH}, kubeconfig: kubeconfig}}}}
""")

    def put_right(self, commit):
        """What kustomize refuses since 2019, or merges wrongly since it does not know the API group
        any more, put right in a commit on top."""
        self.git("checkout", "-q", "-b", "put-right-" + commit[:7], commit)
        for file in self.clone.rglob("*.yaml"):
            text = file.read_text()
            text = re.sub(r"^apiVersion: v1beta1$", "apiVersion: kustomize.config.k8s.io/v1beta1",
                          text, flags=re.M)
            if "kind: Deployment" in text:
                text = text.replace("apiVersion: extensions/v1beta1", "apiVersion: apps/v1")
            file.write_text(text)
        fixed = self.commit("for a kustomize of today")
        self.git("checkout", "-q", "master")
        return fixed

    def rename(self, commit):
        """The same, where the repository always had the name of today."""
        self.git("checkout", "-q", "-b", "renamed-" + commit[:7], commit)
        for file in self.clone.rglob("*.yaml"):
            file.write_text(file.read_text().replace(URLS[1], URLS[0]))
        renamed = self.commit("the name of today") if self.git("status", "--porcelain") else commit
        self.git("checkout", "-q", "master")
        return renamed

    def change(self, *paths):
        """A commit on master that changes these files without changing what they say."""
        self.git("checkout", "-q", "master")
        for path in paths:
            file = self.clone / path
            file.write_text(file.read_text().rstrip("\n") + "\n# changed\n")
        return self.commit("change " + " ".join(paths))

    def applications(self, commit):
        """name → its source, as the overlay for gcp renders it, read with other eyes than ours."""
        self.git("checkout", "-q", commit)
        out = subprocess.run(["kubectl", "kustomize", self.clone / CONFIG_PATH], check=True,
                             env=clean_environ(), stdout=subprocess.PIPE, text=True).stdout
        apps = {}
        for text in out.split("\n---\n"):
            field = lambda key: re.search(rf"^ +{key}: (\S+)$", text, re.M).group(1)
            apps[field("name")] = {key: field(key) for key in ("path", "repoURL", "targetRevision")}
        return apps


class Cluster(NecoApps):
    """With a cluster of that time beside it."""

    def __init__(self, folder, start_emulator):
        super().__init__(folder)
        seed = {"clusters": {"ci": {"nodes": 3, "version": KUBERNETES, "argocd": "v2.14.21",
                                    "kubeconfig": str(folder / "kubeconfig")}}}
        self.emulator = start_emulator(seed=seed, mirrors=[f"{url}={self.bare}" for url in URLS],
                                       timings=("reconcile=20ms", "rollout=60ms"))
        self.kubectl("apply", "-f", PREREQUISITES)

    def kubectl(self, *args):
        return subprocess.run(["kubectl", "--kubeconfig", str(self.folder / "kubeconfig"),
                               *map(str, args)], env=clean_environ(), check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    def live(self):
        """name → Application."""
        items = json.loads(self.kubectl("get", "applications", "-n", "argocd", "-o", "json"))
        return {app["metadata"]["name"]: app for app in items["items"]}

    def make_way(self):
        """What the team had to do: workloads whose selector is to be another one have to go first."""
        for space in ("metallb-system", "ingress", "monitoring", "kube-system"):
            self.kubectl("delete", "deployments,daemonsets", "--all", "-n", space)

    def move_root(self, url):
        """The repository got another name: deploy leaves a root of another one alone."""
        patch = {"spec": {"source": {"repoURL": url}}}
        if "argocd-config" in self.live():
            self.kubectl("patch", "application", "-n", "argocd", "argocd-config", "--type=merge",
                         "-p", json.dumps(patch))

    def deploy(self, commit, *args):
        """Deploys it, under the name that the repository had then."""
        url = next(iter(self.applications(commit).values()))["repoURL"]
        self.move_root(url)
        return self.emulator.run("necoops-deploy", "-c", self.folder / "necoops.yaml",
                                 "--set", f"apps.repoURL={url}", "--revision", commit,
                                 "-o", "json", *args, cwd=self.clone)

    def synced(self, since):
        """Names of the applications that got an operation since that request, in order."""
        return [e["path"].rsplit("/", 1)[1] for e in self.emulator.log()[since:]
                if e["method"] == "PATCH" and e["path"].startswith(APPS + "/")
                and e["status"] == 200 and "operation" in e["body"]]

    def revisions(self, since):
        """The commit of each operation of ours since that request, in order."""
        return [e["body"]["operation"]["sync"]["revision"] for e in self.emulator.log()[since:]
                if e["path"].startswith(APPS) and e["status"] in (200, 201) and e["method"] != "GET"
                and "revision" in ((e["body"].get("operation") or {}).get("sync") or {})]

    def assert_live(self, commit, result):
        """All of the commit's applications run it, and only it."""
        assert result.status == 0, result
        assert result.json["revision"] == commit
        live, wanted = self.live(), self.applications(commit)
        assert live["argocd-config"]["spec"]["source"]["targetRevision"] == commit
        for name, source in wanted.items():
            app = live[name]
            assert app["spec"]["source"]["path"] == source["path"]
            assert app["spec"]["source"]["targetRevision"] == commit, name
            assert "automated" not in app["spec"].get("syncPolicy", {}), name
            assert app["status"]["sync"]["status"] == "Synced", name
            assert app["status"]["sync"]["revision"] == commit, name
            assert app["status"]["health"]["status"] == "Healthy", name
            assert app["status"]["operationState"]["syncResult"]["revision"] == commit, name


@pytest.fixture
def cluster(folder, start_emulator):
    return Cluster(folder, start_emulator)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return NecoApps(tmp_path_factory.mktemp("neco-apps"))


# ---- every commit, every upgrade ----

def test_a_commit_that_no_tool_builds_any_more_is_refused(cluster):
    since = len(cluster.emulator.log())
    result = cluster.emulator.run("necoops-deploy", "-c", cluster.folder / "necoops.yaml",
                                  "--revision", cluster.oldest, cwd=cluster.clone)
    assert result.status == 2, result
    assert f"{CONFIG_PATH}/kustomization.yaml:3:1: apiVersion of a Kustomization is " in result.err
    assert not [e for e in cluster.emulator.log()[since:] if e["method"] != "GET"]


@pytest.mark.parametrize("number", range(3))
def test_each_commit_is_deployed(cluster, number):
    commit = cluster.commits[number]
    cluster.assert_live(commit, cluster.deploy(commit))
    if number == 2:  # the only one that gives an order
        order = cluster.git("show", f"{commit}:app-sync-order.txt").split()
        assert [name for name in cluster.synced(0) if name != "argocd-config"] == order
    since = len(cluster.emulator.log())  # what is live already is left alone
    cluster.assert_live(commit, cluster.deploy(commit))
    assert cluster.synced(since) == []


def test_every_commit_in_turn(cluster):
    oldest, older, newest = cluster.commits
    cluster.assert_live(oldest, cluster.deploy(oldest))
    result = cluster.deploy(older)  # has none of the apps before
    cluster.assert_live(older, result)
    for name in ("coil", "egress", "guestbook"):
        assert f"Application 'argocd/{name}' is no longer in the commit" in result.err
    result = cluster.deploy(newest)  # selectors of its workloads are others
    assert result.status == 1, result
    assert re.search(r"application '(metallb|ingress|monitoring)': .*field is immutable", result.err)
    cluster.make_way()
    cluster.assert_live(newest, cluster.deploy(newest))


def test_back_and_forth_under_an_argo_cd_without_patches(cluster):
    """Its own Argo CD runs now: an app that both commits have is never put back to its branch."""
    older, newest = cluster.commits[1:]
    for commit in (newest, older, newest):
        cluster.make_way()
        cluster.assert_live(commit, cluster.deploy(commit, "--prune"))
    for name in ("argocd", "metallb", "monitoring"):
        history = cluster.live()[name]["status"]["history"]
        assert [h["revision"] for h in history][-3:] == [newest, older, newest], name
        assert not any(h.get("initiatedBy", {}).get("automated") for h in history), name


def test_each_upgrade_from_one_to_the_next(cluster):
    """In one run each: what comes up, and what the team was to find out on a cluster that it needs."""
    oldest, older, newest = (cluster.rename(commit) for commit in cluster.commits)
    since = len(cluster.emulator.log())
    result = cluster.deploy(older, "--upgrade-from", oldest)
    cluster.assert_live(older, result)
    revisions = cluster.revisions(since)
    assert set(revisions) == {oldest, older}
    assert revisions == sorted(revisions, key=[oldest, older].index)  # one after the other
    result = cluster.deploy(newest, "--upgrade-from", older)
    assert result.status == 1, result
    assert re.search(r"application '(metallb|ingress|monitoring)': .*field is immutable", result.err)
    causes = [cause for app in result.json["apps"] for cause in app["causes"]]
    assert [c for c in causes if "immutable" in c["text"] and c["file"].endswith(".yaml")
            and c["line"] > 1], causes


# ---- each app selected alone ----

PATHS = {"argocd": "argocd/base", "external-dns": "external-dns/overlays/gcp",
         "ingress": "ingress/base", "metallb": "metallb/overlays/gcp",
         "monitoring": "monitoring/overlays/gcp", "network-policy": "network-policy/base",
         "open-policy-agent": "open-policy-agent/base"}


def selected(clone):
    """The apps that the newest commit's changes reach, by --check."""
    result = run_program("necoops-deploy", "-c", clone.folder / "necoops.yaml", "--check",
                         "--revision", "HEAD", "--changed-since", "HEAD~1", "-o", "json",
                         cwd=clone.clone)
    assert result.status == 0, result
    return [app["name"] for app in result.json["apps"] if app["name"] != "argocd-config"]


def test_the_paths_are_those_of_the_newest_commit(clone):
    apps = clone.applications("master")
    assert {name: source["path"] for name, source in apps.items()} == PATHS


@pytest.mark.parametrize("name", PATHS)
def test_an_app_is_selected_alone(clone, name):
    """By its folder, by its base, and by its Application in the base that all clusters share."""
    changes = {f"{PATHS[name]}/kustomization.yaml", f"{name}/base/kustomization.yaml",
               f"argocd-config/base/{name}.yaml"}
    for change in sorted(changes):
        clone.change(change)
        assert selected(clone) == [name], change


@pytest.mark.parametrize("name", PATHS)
def test_a_base_that_two_apps_share_selects_both(clone, name):
    other = "metallb" if name != "metallb" else "ingress"
    clone.git("checkout", "-q", "master")
    shared = clone.clone / "shared/base"
    shared.mkdir(parents=True, exist_ok=True)
    (shared / "kustomization.yaml").write_text("resources: [limits.yaml]\n")
    (shared / "limits.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n"
                                        "metadata: {name: limits}\ndata: {a: b}\n")
    for app in (name, other):
        file = clone.clone / PATHS[app] / "kustomization.yaml"
        base = "../" * (PATHS[app].count("/") + 1) + "shared/base"
        text = re.sub(r"^bases:\n( *- )", rf"bases:\n\1{base}\n\1", file.read_text(), flags=re.M)
        file.write_text(text if "\nbases:" in text else f"{text.rstrip()}\nbases: [{base}]\n")
    clone.commit("a shared base")
    clone.change("shared/base/limits.yaml")
    assert sorted(selected(clone)) == sorted((name, other))
    clone.git("reset", "-q", "--hard", "HEAD~2")
    clone.git("push", "-q", "--force", "origin", "HEAD")


def test_a_change_beside_the_apps_selects_none(clone):
    clone.change("app-sync-order.txt")
    assert selected(clone) == []


def test_only_what_changed_is_synced(cluster):
    assert cluster.deploy(cluster.commits[-1]).status == 0
    for change, name in (("external-dns/overlays/gcp/kustomization.yaml", "external-dns"),
                         ("ingress/base/contour/service.yaml", "ingress"),
                         ("argocd-config/base/open-policy-agent.yaml", "open-policy-agent")):
        commit = cluster.change(change)
        since = len(cluster.emulator.log())
        result = cluster.deploy(commit, "--changed-since", "HEAD~1")
        assert result.status == 0, result
        assert [n for n in cluster.synced(since) if n != "argocd-config"] == [name]
        assert cluster.live()[name]["status"]["sync"]["revision"] == commit
