"""necoops-delete while a deployment holds the cluster."""
import signal
import time

import pytest

from conftest import wait_for
from test_status import REPO, apps, day  # pylint: disable=unused-import


@pytest.fixture
def busy(day, apps, folder):
    """An emulator whose cluster is held by a deployment that is under way."""
    emulator = day(argocd="v2.14.21", mirrors=[f"{REPO}={folder / 'apps.git'}"])
    running = emulator.start("necoops-deploy", "-c", folder / "necoops.yaml", "--stable-for", "1h",
                             cwd=apps, env={"CIRCLE_BUILD_URL": "https://ci.example.com/7"})
    wait_for(lambda: (emulator.run("necoops-status", "-o", "json").json.get("lease")
                      or {}).get("holder"))
    yield emulator, running
    if running.process.poll() is None:
        running.signal(signal.SIGKILL)
        running.process.wait()


def test_the_holder_is_named(busy):
    emulator, running = busy
    result = emulator.run("necoops-delete", "--yes", "--lock-timeout", "0s")
    assert result.status == 5, result
    assert ("error: cluster 'neco-ops' is in use: https://ci.example.com/7 holds it for commit "
            in result.err), result
    assert result.err.endswith("; --force deletes it all the same\n")
    assert len(emulator.instances()) == 1 and emulator.calls("DELETE") == []
    assert running.process.poll() is None


def test_the_end_of_the_deployment_is_waited_for(busy):
    emulator, running = busy
    deleting = emulator.start("necoops-delete", "--yes")
    deleting.wait_for("waiting for https://ci.example.com/7, who holds cluster 'neco-ops'")
    assert len(emulator.instances()) == 1
    running.signal(signal.SIGINT)
    assert running.end().status == 130
    result = deleting.end()
    assert result.status == 0 and emulator.instances() == [], result


@pytest.mark.soak
def test_a_holder_that_died_holds_nothing_back(busy):
    emulator, running = busy
    running.signal(signal.SIGKILL)
    running.process.wait()
    begin = time.monotonic()
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0 and emulator.instances() == [], result
    assert "nobody holds the cluster" in result.err and time.monotonic() - begin < 40


def test_force(busy):
    emulator, _ = busy
    result = emulator.run("necoops-delete", "--yes", "--force")
    assert result.status == 0 and emulator.instances() == [], result
    assert "waiting for" not in result.err


def test_a_cluster_that_cannot_be_asked(day, folder):
    emulator = day()
    text = (folder / "kube.yaml").read_text()
    (folder / "kube.yaml").write_text(text.replace("127.0.0.1:", "127.0.0.1:1#"))
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0 and emulator.instances() == [], result
