"""Which applications necoops-deploy selects, and what it does when there are none."""
import xml.etree.ElementTree as ElementTree

import pytest

from test_deploy import place, rows  # noqa: F401 (a fixture)


@pytest.fixture
def docs(place):  # noqa: F811
    """The last commit changes nothing that is deployed."""
    (place.clone / "README.md").write_text("How this works\n")
    place.commit("Only words")
    return place


def test_a_branch_of_documents_is_an_error_told_before_anything_is_touched(docs):
    result = docs.deploy("--changed-since", "HEAD~1", "-o", "json", "--junit", "j.xml")
    assert result.status == 2, result
    assert "no application is selected: 'argocd-config' has no children that " \
           "--changed-since 'HEAD~1' let in; --if-no-apps skip ends with 0 then" in result.err
    assert result.json["noApps"] and result.json["status"] == 2
    assert docs.writes() == []
    assert ElementTree.parse(docs.clone / "j.xml").getroot().get("errors") == "1"


def test_a_branch_of_documents_is_skipped(docs):
    result = docs.deploy("--changed-since", "HEAD~1", "--if-no-apps", "skip", "-o", "json",
                         "--junit", "j.xml", "--report", "r.html")
    assert result.status == 0, result
    assert "no application is selected" in result.err and "skipped" in result.err
    assert result.json["noApps"] and result.json["apps"] == [] and "error" not in result.json
    assert docs.writes() == []
    assert ElementTree.parse(docs.clone / "j.xml").getroot().get("errors") == "0"
    assert "Skipped" in (docs.clone / "r.html").read_text()


def test_a_pattern_that_nothing_matches_touches_nothing(place):  # noqa: F811
    result = place.deploy("--apps", "nothing*", "--apps", "team=nobody")
    assert result.status == 2, result
    assert "no children that --apps 'nothing*', 'team=nobody' let in" in result.err
    assert place.writes() == []
    result = place.deploy("--apps", "nothing*", "--if-no-apps", "skip")
    assert result.status == 0, result


def test_a_change_of_the_root_alone_deploys_the_root(place):  # noqa: F811
    assert place.deploy().status == 0
    place.edit("argocd-config/base/kustomization.yaml", "- ops.yaml\n", "")
    place.git("rm", "-q", "argocd-config/base/ops.yaml")
    commit = place.commit("Without ops")
    result = place.deploy("--changed-since", "HEAD~1", "--prune")
    assert result.status == 0, result
    assert list(rows(result)) == ["argocd-config"]
    assert place.application("argocd-config")["status"]["sync"]["revision"] == commit


def test_only_skip_or_fail(place):  # noqa: F811
    result = place.deploy("--if-no-apps", "pass")
    assert result.status == 2 and "pass" in result.err, result
