"""The agent where it belongs: on an instance that really runs its startup script."""
import subprocess

import pytest

from agents import QUICK, REPO, ZONE
from conftest import BIN, CONFIG, clean_environ, wait_for
from test_deploy import Place

SNAPSHOT = """\
snapshot:
  source: gs://neco-snapshots/init.tar.zst
  to: /var/scratch/placemat
  nodes: 2
  kubeconfig: {issue: [ckecli, kubernetes, issue], to: "gs://neco-results/kubeconfig"}
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A small snapshot of a cluster."""
    folder = tmp_path_factory.mktemp("snapshot")
    subprocess.run([BIN / "necoops-emulator", "--write-snapshot", folder / "s", "--nodes", "2",
                    "--image-size", "4M"], check=True, env=clean_environ(),
                   stdout=subprocess.DEVNULL)
    subprocess.run(["tar", "-C", folder / "s", "--sparse", "--zstd", "-cf", folder / "init.tar.zst",
                    "."], check=True)
    return folder / "init.tar.zst"


class Instance(Place):
    """The rehearsal's apps, and an instance whose cluster comes from a snapshot."""

    def __init__(self, folder, start_emulator, archive):
        self.archive = archive
        super().__init__(folder, start_emulator)
        made = self.emulator.run("necoops-create")
        assert made.status == 0, made

    def configure(self, more=""):
        (self.folder / "necoops.yaml").write_text(
            CONFIG + "  serviceAccount: {email: default, scopes: [devstorage.read_write]}\n" +
            SNAPSHOT + f"""\
apps: {{repoURL: "{REPO}", root: argocd-config}}
deploy: {{stableFor: 300ms, syncRetries: 0}}
agent: {{pollEvery: 100ms}}
results: gs://neco-results/agent
clusters:
  neco-ops: {{path: argocd-config/overlays/gcp, via: instance, kubeconfig: "gs://neco-results/kubeconfig"}}
""")


@pytest.fixture
def instance(folder, start_emulator, archive):
    def start(**kwargs):
        kwargs.pop("seed")
        seed = {"buckets": {"neco-results": {},
                            "neco-snapshots": {"objects": {"init.tar.zst": {"file": str(archive)}}}}}
        return start_emulator("--run-startup-scripts", seed=seed,
                              **{**kwargs, "timings": (*QUICK, "cluster-boot=50ms")})
    return Instance(folder, start, archive)


def test_a_load_and_a_deploy(instance):
    loaded = instance.emulator.run("necoops-snapshot-load", "--instance", "neco-ops")
    assert loaded.status == 0, loaded
    assert "necoops-snapshot-load: load: " in loaded.err
    assert "was in '/var/scratch/placemat' already" in loaded.out
    assert "loaded snapshot 'init'\nthe cluster is ready: 2 nodes\n" in loaded.out
    deployed = instance.deploy("--report", instance.folder / "report.html")
    assert deployed.status == 0, deployed
    assert deployed.out.count(" live\n") == 4
    assert "</html>" in (instance.folder / "report.html").read_text()
    # the results are not left in the bucket
    status, left = instance.emulator.api("GET", "/storage/v1/b/neco-results/o?prefix=agent")
    assert status == 200 and not left.get("items")


def test_what_it_cannot_load_is_told(instance):
    result = instance.emulator.run("necoops-snapshot-load", "--instance", "neco-ops",
                                   "gs://neco-snapshots/none.tar.zst")
    assert result.status == 1, result
    assert "error: " in result.err and "none.tar.zst" in result.err
    plan = instance.emulator.run("necoops-snapshot-load", "--instance", "neco-ops", "--dry-run")
    assert plan.status == 0 and "gs://neco-snapshots/init.tar.zst" in plan.out, plan


def test_the_instance_is_booted_again_in_the_middle(instance):
    emulator = instance.emulator
    run = instance.start("--stable-for", "10m")
    run.wait_for("sync: ")
    emulator.finish_operation(
        ZONE, emulator.api("POST", emulator.zone_url(ZONE, "instances/neco-ops/reset")))
    result = run.end()
    assert result.status == 1, result
    assert "the agent on the instance was started again" in result.err
    assert "error: the instance booted again while necoops-deploy ran on it; run it again" in \
        result.err
    wait_for(lambda: instance.emulator.run("necoops-create").status == 0)
    again = instance.deploy()
    assert again.status == 0, again


def test_to_is_not_for_others_to_choose(folder, start_emulator):
    emulator = start_emulator()
    result = emulator.run("necoops-snapshot-load", "--instance", "neco-ops", "--to", "/")
    assert result.status == 2, result
    assert "--to is the instance's own matter" in result.err
