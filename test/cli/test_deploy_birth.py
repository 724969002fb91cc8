"""New children of a root that cannot carry their overrides (Argo CD before 2.9, plain manifests)."""
import pytest

from test_deploy import CHILDREN, Place, rows


def plain_root(place):
    """A root that is no kustomization."""
    folder = place.clone / "argocd-config/plain"
    folder.mkdir()
    for name in CHILDREN:
        text = (place.clone / f"argocd-config/base/{name}.yaml").read_text()
        (folder / f"{name}.yaml").write_text(text)
    place.commit()
    return ["--set", "clusters.neco-ops.path=argocd-config/plain"]


def never_automated(place, names=CHILDREN):
    """None of them was ever synced by itself, or to anything but commits of ours."""
    for name in names:
        app = place.application(name)
        assert "automated" not in app["spec"].get("syncPolicy", {}), name
        history = app["status"]["history"]
        assert not any(h.get("initiatedBy", {}).get("automated") for h in history), (name, history)
        assert {h["initiatedBy"]["username"] for h in history} == {"necoops"}, (name, history)


@pytest.mark.parametrize("argocd, plain", [("v2.8.4", False), ("v2.8.4", True),
                                           ("v2.14.21", True)])
def test_they_never_follow_their_branch(folder, start_emulator, argocd, plain):
    place = Place(folder, start_emulator, argocd=argocd, timings=("reconcile=1ms", "rollout=20ms"))
    place.git("push", "-q", "origin", "HEAD:release")  # what they would follow
    args = plain_root(place) if plain else []
    commit = place.commit()
    result = place.deploy(*args)
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {commit[:12]}
    never_automated(place)
    made = [e for e in place.writes() if e["method"] == "POST"]
    assert [e["body"]["metadata"]["name"] for e in made] == [*CHILDREN, "argocd-config"]
    for entry in made[:-1]:
        body = entry["body"]
        assert body["spec"]["source"]["targetRevision"] == commit
        assert "automated" not in body["spec"]["syncPolicy"]
        assert body["metadata"]["labels"]["app.kubernetes.io/instance"] == "argocd-config"
        assert body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] \
            == f"argocd-config:argoproj.io/Application:argocd/{body['metadata']['name']}"
    result = place.deploy(*args)  # it is live already
    assert result.status == 0, result
    assert {row[-1] for row in rows(result).values()} == {"already live"}


def test_one_that_comes_later(folder, start_emulator):
    place = Place(folder, start_emulator, argocd="v2.8.4")
    place.git("push", "-q", "origin", "HEAD:release")
    place.edit("argocd-config/base/kustomization.yaml", "- ops.yaml\n", "")
    without = place.commit("Without ops")
    place.git("revert", "--no-edit", "HEAD")
    place.git("push", "-q", "origin", "HEAD")
    assert place.deploy("--revision", without).status == 0
    result = place.deploy()
    assert result.status == 0, result
    assert {row[0] for row in rows(result).values()} == {place.head()[:12]}
    never_automated(place)
    result = place.deploy("--revision", without, "--prune")  # it is the root's, and goes with it
    assert result.status == 0, result
    assert list(rows(result)) == ["argocd-config", "namespaces", "web"]
    assert "ops" not in [a["name"] for a in place.deploy("--revision", without, "-o", "json").json["apps"]]


def test_what_cannot_be_rendered_here_is_held_as_before(folder, start_emulator):
    """A transformer beyond what is read here: Argo CD makes them, and they are stopped at once."""
    place = Place(folder, start_emulator, argocd="v2.8.4")
    path = place.clone / "argocd-config/overlays/gcp/kustomization.yaml"
    path.write_text(path.read_text() + "commonAnnotations: {team: neco}\n")
    place.git("add", "-A")
    commit = place.commit()
    result = place.deploy()
    assert result.status == 0, result
    assert [e["body"]["metadata"]["name"] for e in place.writes() if e["method"] == "POST"] \
        == ["argocd-config"]
    assert {row[0] for row in rows(result).values()} == {commit[:12]}
