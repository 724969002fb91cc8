"""examples/argocd-notifications against Argo CD's own manifests, where they are beside the project."""
import re
import subprocess

import pytest
import yaml

from conftest import ROOT, clean_environ, which

API = ROOT.parent / "shared/api"
INSTALL = API / "argocd-install-v2.14.21.yaml"
CRD = API / "argocd-application-crd-v2.14.21.yaml"
pytestmark = pytest.mark.skipif(not INSTALL.exists(), reason="no ../shared beside the project")

# What Argo CD's documentation allows as keys of the ConfigMap.
KEY = re.compile(r"(service|trigger|template)\.[a-z-]+|context|subscriptions|defaultTriggers")


def load(path):
    return [d for d in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if d]


def built(cluster):
    text = subprocess.run([which("kubectl"), "kustomize",
                           ROOT / "examples/argocd-notifications" / cluster], check=True, text=True,
                          stdout=subprocess.PIPE, env=clean_environ()).stdout
    return yaml.safe_load(text)


@pytest.mark.parametrize("cluster", ["stage", "prod"])
def test_the_config_map_is_the_installation_s(cluster):
    ours = built(cluster)
    theirs = [d for d in load(INSTALL) if d["kind"] == "ConfigMap"
              and d["metadata"]["name"] == ours["metadata"]["name"]]
    assert len(theirs) == 1, "the installation has this ConfigMap, once"
    assert ours["metadata"]["labels"].items() >= theirs[0]["metadata"]["labels"].items()
    assert ours["metadata"]["namespace"] == "argocd"
    assert all(KEY.fullmatch(key) for key in ours["data"]), ours["data"].keys()


@pytest.mark.parametrize("cluster", ["stage", "prod"])
def test_every_field_that_is_named_is_an_application_s(cluster):
    schema = load(CRD)[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    text = "\n".join(built(cluster)["data"].values())
    paths = set(re.findall(r"\bapp\.((?:status|spec)(?:\.\w+)+)", text))
    assert {"status.sync.revision", "status.health.status"} <= paths
    for path in paths:
        at = {"properties": schema}
        for part in path.split("."):
            assert part in at["properties"], f"an Application has no field {path}"
            at = at["properties"][part]
