"""necoops-deploy --upgrade-from: one revision after the other, as a cluster would be upgraded."""
import json
import xml.etree.ElementTree as ElementTree

import pytest

from test_deploy import CHILDREN, place  # noqa: F401 (a fixture)

EVERY = ["argocd-config", *CHILDREN]


@pytest.fixture
def two(place):  # noqa: F811
    """Two revisions: what is there, and a change of web."""
    place.edit("web/base/configmap.yaml", "Good morning", "Good night")
    place.commit()
    return place


def phases(place):  # noqa: F811
    """The revision asked for with each sync of an application, in order."""
    order = {}
    for entry in place.writes():
        body = entry["body"] if isinstance(entry["body"], dict) else json.loads(entry["body"])
        revision = body.get("operation", {}) and body.get("operation", {}).get("sync", {}).get(
            "revision")
        if revision:
            name = entry["path"].rsplit("/", 1)[-1]
            order.setdefault(name.replace("applications", "argocd-config"), []).append(revision)
    return order


def test_first_one_then_the_other(two):
    before, after = two.head("HEAD~1"), two.head()
    result = two.deploy("--upgrade-from", "HEAD~1", "-o", "json", "--junit", "../j.xml",
                        "--events", "../e.jsonl", "--report", "../r.html")
    assert result.status == 0, result
    assert set(phases(two)) == set(EVERY)
    assert all(list(dict.fromkeys(seen)) == [before, after] for seen in phases(two).values())
    assert result.json["revision"] == after
    assert [a["name"] for a in result.json["apps"]] == EVERY
    assert {a["revision"] for a in result.json["apps"]} == {after}
    assert result.json["upgradeFrom"]["revision"] == before
    assert {a["revision"] for a in result.json["upgradeFrom"]["apps"]} == {before}
    assert {a["state"] for a in result.json["upgradeFrom"]["apps"]} == {"done"}
    cases = ElementTree.parse(two.folder / "j.xml").getroot().findall(".//testcase")
    assert [(c.get("name"), c.get("classname")) for c in cases] == [
        *((name, f"necoops-deploy neco-ops before the upgrade ({before[:12]})") for name in EVERY),
        *((name, "necoops-deploy neco-ops") for name in EVERY)]
    events = [json.loads(line) for line in (two.folder / "e.jsonl").read_text().splitlines()]
    assert [(e["phase"], e["revision"]) for e in events if e["type"] == "phase"] == [
        ("before", before), ("upgrade", after)]
    at = [e["type"] == "phase" for e in events].index(True)
    later = [e.get("phase") for e in events].index("upgrade")
    assert {e["app"] for e in events[at:later] if e["type"] == "app" and e["state"] == "done"} \
        == set(EVERY)
    page = (two.folder / "r.html").read_text()
    assert "Upgrade from" in page and "web before the upgrade" in page


def test_the_table_tells_both(two):
    result = two.deploy("--upgrade-from", "HEAD~1")
    assert result.status == 0, result
    first, second = result.out.split("\nUpgraded to ")
    assert first.startswith(f"Before the upgrade, at {two.head('HEAD~1')[:12]}:\nAPPLICATION")
    assert second.startswith(f"{two.head()[:12]}:\nAPPLICATION")
    assert two.head("HEAD~1")[:12] in first and two.head()[:12] in second


def test_only_the_apps_concerned(two):
    assert two.deploy().status == 0
    two.edit("web/base/configmap.yaml", "Good night", "Good day")
    two.commit()
    since = len(two.writes())
    result = two.deploy("--upgrade-from", "HEAD~2", "--changed-since", "HEAD~1", "-o", "json")
    assert result.status == 0, result
    assert [a["name"] for a in result.json["apps"]] == ["argocd-config", "web"]
    assert [a["name"] for a in result.json["upgradeFrom"]["apps"]] == ["argocd-config", "web"]
    assert {e["path"].rsplit("/", 1)[-1] for e in two.writes()[since:]} == {"argocd-config", "web"}


def test_an_app_that_is_new_has_nothing_before(place):  # noqa: F811
    place.edit("argocd-config/base/kustomization.yaml", "- ops.yaml\n", "")
    base = place.commit("Without ops")
    assert place.deploy().status == 0  # its namespace comes from another app
    place.git("revert", "--no-edit", "HEAD")
    place.git("push", "-q", "origin", "HEAD")
    result = place.deploy("--upgrade-from", base, "--apps", "ops", "-o", "json")
    assert result.status == 0, result
    assert f"'{base[:12]}' has none of the applications that are selected" in result.err
    assert [a["name"] for a in result.json["apps"]] == ["argocd-config", "ops"]


def test_a_base_that_does_not_come_up_ends_it(place):  # noqa: F811
    place.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", "example.invalid/web:1")
    place.edit("web/base/deployment.yaml", "spec:", "spec:\n  progressDeadlineSeconds: 1")
    base = place.commit()
    place.git("revert", "--no-edit", "HEAD")
    place.git("push", "-q", "origin", "HEAD")
    result = place.deploy("--upgrade-from", base, "--junit", "../j.xml", "-o", "json")
    assert result.status == 1, result
    assert f"error: before the upgrade, at '{base[:12]}': application 'web'" in result.err
    assert result.json["apps"] == []
    web = [a for a in result.json["upgradeFrom"]["apps"] if a["name"] == "web"][0]
    assert any(c.get("file") == "web/base/deployment.yaml" for c in web["causes"])
    assert phases(place)["argocd-config"] == [base]
    root = ElementTree.parse(place.folder / "j.xml").getroot()
    assert [c.get("name") for c in root.findall(".//testcase[failure]")] == ["web"]


def test_faults_of_either_are_told_before_anything_is_touched(place):  # noqa: F811
    (place.clone / "ops/bad.yaml").write_text("kind: ConfigMap\ndata: {a: [}\n")
    base = place.commit()
    place.git("revert", "--no-edit", "HEAD")
    place.git("push", "-q", "origin", "HEAD")
    result = place.deploy("--upgrade-from", base)
    assert result.status == 2, result
    assert "--upgrade-from: commit" in result.err and "ops/bad.yaml:2:12" in result.err
    assert place.writes() == []
    result = place.deploy("--upgrade-from", "nowhere")
    assert result.status == 2, result
    assert "--upgrade-from: " in result.err and "nowhere" in result.err


def test_from_itself(place):  # noqa: F811
    result = place.deploy("--upgrade-from", "HEAD", "-o", "json")
    assert result.status == 0, result
    assert "--upgrade-from names the commit itself" in result.err
    assert "upgradeFrom" not in result.json


def test_restored_to_what_was_before_both(two):
    two.git("checkout", "-q", "HEAD~1")
    assert two.deploy().status == 0
    spec = two.application("web")["spec"]
    two.git("checkout", "-q", "master")
    two.edit("web/base/configmap.yaml", "Good night", "Good day")
    two.commit()
    result = two.deploy("--upgrade-from", "HEAD~1", "--restore")
    assert result.status == 0, result
    assert two.application("web")["spec"] == spec
