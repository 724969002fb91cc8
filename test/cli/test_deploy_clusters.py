"""Several clusters in one call of necoops-deploy."""
import json
import signal
import xml.etree.ElementTree as ElementTree

import pytest

from test_deploy import CHILDREN, REPO, Place

EVERY = ["argocd-config", *CHILDREN]


class Two(Place):
    """Two clusters, stage and prod, that watch branches; release is where master is."""

    def __init__(self, folder, start_emulator):
        super().__init__(folder, start_emulator, clusters={
            name: {"nodes": 1, "kubeconfig": str(folder / f"{name}.kubeconfig"),
                   "argocd": "v2.14.21"} for name in ("stage", "prod")})
        self.git("push", "-q", "origin", "HEAD:release")
        (folder / "necoops.yaml").write_text(f"""\
apps: {{repoURL: "{REPO}", root: argocd-config}}
deploy: {{stableFor: 100ms, degradedGrace: 300ms}}
clusters:
  stage: {{path: argocd-config/overlays/stage, revision: master, sync: automated,
           kubeconfig: stage.kubeconfig}}
  prod: {{path: argocd-config/overlays/prod, revision: release, sync: automated,
          kubeconfig: prod.kubeconfig}}
  bk: {{enabled: false, reason: to be decided}}
""")


@pytest.fixture
def two(folder, start_emulator):
    return Two(folder, start_emulator)


def break_release(two):
    """Prod cannot become healthy."""
    two.git("checkout", "-q", "-b", "broken")
    two.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", "example.invalid/web:1")
    two.edit("web/base/deployment.yaml", "spec:", "spec:\n  progressDeadlineSeconds: 1")
    two.commit(push=False)
    two.git("push", "-q", "origin", "HEAD:release")


@pytest.mark.parametrize("args", [["--cluster", "stage,prod"],
                                  ["--cluster", "stage", "--cluster", "prod"]])
def test_each_is_waited_for_and_told(two, args):
    result = two.deploy(*args, "--junit", "../j.xml", "--events", "../e.jsonl")
    assert result.status == 0, result
    stage, prod = result.out.split("\nCluster prod: done\n")
    assert stage.startswith("Cluster stage: done\nAPPLICATION")
    for table in (stage, prod):
        assert all(name in table for name in EVERY) and two.head()[:12] in table
    for name in ("stage", "prod"):
        suite = ElementTree.parse(two.folder / f"j-{name}.xml").getroot()
        assert [c.get("name") for c in suite.findall(".//testcase")] == EVERY
        events = [json.loads(line) for line in
                  (two.folder / f"e-{name}.jsonl").read_text().splitlines()]
        assert events[0]["cluster"] == name and events[-1]["status"] == 0
    assert not (two.folder / "j.xml").exists()


@pytest.mark.parametrize("order", ["prod,stage", "stage,prod"])
def test_what_fails_in_one_keeps_no_other_from_its_turn(two, order):
    break_release(two)
    result = two.deploy("--cluster", order, "-o", "json")
    assert result.status == 1, result
    assert result.json["status"] == 1
    assert result.json["error"].startswith("1 of 2 clusters: cluster 'prod': application 'web'")
    assert [(c["cluster"], c["status"]) for c in result.json["clusters"]] \
        == [(name, {"prod": 1, "stage": 0}[name]) for name in order.split(",")]


def test_the_status_is_the_worst(two):
    (two.folder / "prod.kubeconfig").unlink()  # 2, wrong use
    break_release(two)
    two.git("push", "-q", "--force", "origin", "HEAD:master")
    result = two.deploy("--cluster", "stage,prod", "-o", "json")
    assert result.status == 1, result
    assert [c["status"] for c in result.json["clusters"]] == [1, 2]
    assert result.json["error"].startswith("2 of 2 clusters: ")


@pytest.mark.parametrize("names, words", [
    ("stage,nope", "cluster 'nope' is not in the configuration"),
    ("stage,bk", "cluster 'bk' is not enabled: to be decided"),
    ("stage,prod,stage", "cluster 'stage' is named twice"),
    ("", "--cluster wants a name; the configuration has 'stage', 'prod', 'bk'"),
    (",", "--cluster wants a name; the configuration has 'stage', 'prod', 'bk'"),
])
def test_names_are_checked_before_anything_is_touched(two, names, words):
    result = two.deploy("--cluster", names)
    assert result.status == 2, result
    assert words in result.err
    assert two.emulator.calls(contains="/apis") == []


def test_a_signal_ends_it_all(two):
    run = two.start("--cluster", "stage,prod", "--stable-for", "60s", "-v", "-o", "json")
    run.wait_for("web: done")
    run.signal(signal.SIGTERM)
    result = run.end()
    assert result.status == 143, result
    assert [c["status"] for c in result.json["clusters"]] == [143, 143]
    assert result.json["clusters"][1]["error"] == "its turn did not come"


def test_each_has_the_whole_time(two):
    """Stage uses its time up; prod has its own."""
    two.edit("web/base/deployment.yaml", """\
          httpGet:
            path: /health
            port: http
""", "          exec: {command: [/bin/false]}\n")  # not ready, and nothing is wrong with it
    two.commit()  # master only
    result = two.deploy("--cluster", "stage,prod", "--timeout", "10s", "-o", "json")
    assert result.status == 6, result
    stage, prod = result.json["clusters"]
    assert stage["status"] == 6 and prod["status"] in (0, 6)
    assert prod["server"].startswith("https://")  # it was asked
