"""necoops-create: the console as it comes, a reboot, what a failure leaves, names of its own."""
import json
import re
import signal
import time

import pytest

from conftest import QUICK, wait_for

FAILING = """#!/bin/sh
echo pulling images
echo "disk full" >&2
exit 3
"""
STEERED = """#!/bin/sh
url=http://$GCE_METADATA_HOST/computeMetadata/v1/instance/attributes/go
until go=$(curl -sf -H 'Metadata-Flavor: Google' "$url"); do sleep 0.05; done
[ "$go" = on ]
"""


@pytest.fixture
def cloud(start_emulator, folder):
    """An emulator in which startup scripts run, with this setup script."""
    def start(setup, **kwargs):
        (folder / "setup.sh").write_text(setup)
        config = (folder / "necoops.yaml").read_text()
        (folder / "necoops.yaml").write_text(config + "  setup: setup.sh\n")
        return start_emulator("--run-startup-scripts", **{"timings": QUICK, **kwargs})
    return start


def until_of(instance):
    """The soft end of an instance, in epoch seconds."""
    return int(instance["labels"]["necoops-until"])


# ---- the console ----

def test_follow_prints_the_console(cloud):
    emulator = cloud("#!/bin/sh\nfor i in 1 2 3; do echo \"line $i\"; done\n"
                     "printf 'red \\033[31m\\n'\n")
    result = emulator.run("necoops-create", "--follow")
    assert result.status == 0, result
    lines = [line for line in result.err.splitlines() if line.startswith("necoops-create: | ")]
    told = [line for line in lines if re.search(r"line \d$", line)]
    assert [line[-6:] for line in told] == ["line 1", "line 2", "line 3"], result
    assert not any("necoops-phase" in line for line in lines), "phases are told as such"
    assert "\033" not in result.err
    cursors = [int(e["query"]["start"]) for e in emulator.calls("GET", "/serialPort")]
    assert cursors[0] == 0 and cursors == sorted(cursors)
    answers = [e["response"] for e in emulator.calls("GET", "/serialPort")]
    for before, cursor in zip(answers, cursors[1:]):
        assert int(before["next"]) == cursor, "each read goes on where the one before ended"


def test_follow_tells_a_failure_once(cloud):
    emulator = cloud(FAILING)
    result = emulator.run("necoops-create", "--follow")
    assert result.status == 1 and "failed: setup: status 3: disk full" in result.err, result
    told = [line for line in result.err.splitlines() if line.endswith("startup-script: disk full")]
    assert len(told) == 1 and told[0].startswith("necoops-create: | "), result
    assert "last lines of the instance's console" not in result.err


def test_follow_tells_what_was_lost(cloud):
    emulator = cloud("#!/bin/sh\nseq -f 'a long line of output, number %.0f' 60000\n"
                     + STEERED.partition("\n")[2])
    running = emulator.start("necoops-create", "--follow", "--set", "instance.localSsds=0")
    running.wait_for("number 60000")
    emulator.set_metadata(emulator.instances()[0], go="on")
    result = running.end()
    assert result.status == 0, result
    assert re.search(r"necoops-create: \d+ bytes of the console were lost", result.err), \
        result.err[-2000:]


# ---- a reboot ----

def test_a_reboot_is_said(cloud):
    emulator = cloud(STEERED)
    running = emulator.start("necoops-create")
    running.wait_for("running the setup script")
    instance = emulator.instances()[0]
    path = emulator.zone_url("asia-northeast1-c", "instances/neco-ops/reset")
    emulator.finish_operation("asia-northeast1-c", emulator.api("POST", path))
    running.wait_for("the instance booted again while it was being set up")
    emulator.set_metadata(instance, go="on")
    result = running.end()
    assert result.status == 0, result
    assert "booted again" in result.err
    assert [i["id"] for i in emulator.instances()] == [instance["id"]]


def test_a_crash_is_seen(cloud):
    emulator = cloud(STEERED)
    running = emulator.start("necoops-create")
    running.wait_for("running the setup script")
    first = emulator.instances()[0]
    path = emulator.zone_url("asia-northeast1-c", "instances/neco-ops/stop")
    emulator.finish_operation("asia-northeast1-c", emulator.api("POST", path))
    running.wait_for("is stopped: making it anew")
    wait_for(lambda: [i for i in emulator.instances() if i["id"] != first["id"]
                      and i["status"] == "RUNNING"])
    emulator.set_metadata(emulator.instances()[0], go="on")
    result = running.end()
    assert result.status == 0, result
    assert len(emulator.instances()) == 1


# ---- failure ----

def test_evidence_comes_before_the_deletion(cloud, folder):
    emulator = cloud(FAILING)
    result = emulator.run("necoops-create", "--evidence", "out/evidence",
                          "--set", "instance.metadata={secret: hunter2}")
    assert result.status == 1, result
    dirs = list((folder / "out/evidence").iterdir())
    assert len(dirs) == 1 and re.fullmatch(r"neco-ops-\d+", dirs[0].name)
    assert f"evidence is in out/evidence/{dirs[0].name}" in result.err
    assert sorted(p.name for p in dirs[0].iterdir()) == ["console-1.log", "instance.json",
                                                         "phases.json"]
    instance = json.loads((dirs[0] / "instance.json").read_text())
    assert instance["status"] == "RUNNING" and "metadata" not in instance
    assert "disk full" in (dirs[0] / "console-1.log").read_text()
    phases = json.loads((dirs[0] / "phases.json").read_text())
    assert [p["phase"] for p in phases] == ["boot", "setup", "failed"]
    assert phases[-1]["message"].endswith("disk full")
    methods = [(e["method"], e["path"]) for e in emulator.log()]
    deletion = next(i for i, (m, p) in enumerate(methods) if m == "DELETE")
    ports = [e for e in emulator.log()[:deletion] if e["path"].endswith("/serialPort")
             and e["query"]["port"] == "4"]
    assert ports, "port 4 was read before the deletion"
    assert emulator.instances() == []


def test_evidence_that_cannot_be_written(cloud, folder):
    emulator = cloud(FAILING)
    (folder / "file").write_text("")
    result = emulator.run("necoops-create", "--evidence", "file/x")
    assert result.status == 1, result
    assert "warning: evidence: anything could not be saved: " in result.err
    assert emulator.instances() == [], "it is deleted all the same"


def test_evidence_without_a_port(cloud, folder):
    emulator = cloud(FAILING, faults=["path=*/serialPort,query=*port=3*,count=0,status=403,"
                                      "reason=forbidden"])
    result = emulator.run("necoops-create", "--evidence", "out")
    assert result.status == 1, result
    assert "evidence: serial port 3 could not be saved: " in result.err
    assert (next((folder / "out").iterdir()) / "console-1.log").exists()


def test_kept_for_a_while(cloud):
    emulator = cloud(FAILING)
    began = int(time.time())
    result = emulator.run("necoops-create", "--keep-failed-for", "3s")
    assert result.status == 1, result
    assert re.search(r"the failed instance is kept until \S+Z, when necoops-delete --expired takes it",
                     result.err), result
    kept = emulator.instances()
    assert len(kept) == 1 and began + 2 <= until_of(kept[0]) <= int(time.time()) + 3
    changes = emulator.calls("POST", "/setLabels")
    assert len(changes) == 1 and changes[0]["body"]["labels"]["necoops"] == "managed"
    wait_for(lambda: time.time() > until_of(kept[0]) + 0.1)
    swept = emulator.run("necoops-delete", "--expired", "--yes")
    assert swept.status == 0 and emulator.instances() == [], swept


def test_kept_for_no_time_is_refused(cloud):
    emulator = cloud(FAILING)
    result = emulator.run("necoops-create", "--keep-failed-for", "0s")
    assert result.status == 2, result
    assert ("option '--keep-failed-for': '0s' is too short: it wants at least 1.0s" in result.err), result
    assert emulator.log() == []


def test_kept_no_longer_than_the_hard_end(cloud):
    emulator = cloud(FAILING)
    result = emulator.run("necoops-create", "--keep-failed-for", "90d")
    assert result.status == 1, result
    kept = emulator.instances()[0]
    hard = emulator.run("necoops-status", "-o", "json").json["instance"]
    assert hard["softEnd"] == hard["hardEnd"] and until_of(kept) > time.time()


def test_kept_while_another_changes_labels(cloud):
    emulator = cloud(FAILING, faults=["method=POST,path=*/setLabels,count=2,status=412,"
                                      "reason=conditionNotMet"])
    result = emulator.run("necoops-create", "--keep-failed-for", "1h")
    assert result.status == 1 and "is kept until" in result.err, result
    assert len(emulator.calls("POST", "/setLabels")) == 3
    assert len({e["query"]["requestId"] for e in emulator.calls("POST", "/setLabels")}) == 3


# ---- names of its own ----

def test_one_instance_a_build(cloud):
    emulator = cloud("#!/bin/sh\nexit 0\n")
    for number in (41, 42):
        result = emulator.run("necoops-create", "--name", f"neco-ops-{number}",
                              env={"CIRCLE_BUILD_NUM": str(number), "CIRCLE_BRANCH": "Feature/Ü"})
        assert result.status == 0, result
    made = {i["name"]: i["labels"] for i in emulator.instances()}
    assert set(made) == {"neco-ops-41", "neco-ops-42"}
    assert made["neco-ops-41"]["necoops-build"] == "41"
    assert made["neco-ops-41"]["necoops-ref"] == "feature---"
    assert emulator.run("necoops-delete", "--name", "neco-ops-41", "--yes").status == 0
    assert [i["name"] for i in emulator.instances()] == ["neco-ops-42"]
    shown = emulator.run("necoops-status", "--name", "neco-ops-42", "-o", "json")
    assert shown.status == 0 and shown.json["instance"]["name"] == "neco-ops-42"
    config = emulator.run("necoops-create", "--name", "x1", "--set", "instance.name=x2",
                          "--print-config")
    assert re.search(r'name: "x1"', config.out), config


def test_a_name_that_is_none(cloud):
    emulator = cloud("#!/bin/sh\nexit 0\n")
    result = emulator.run("necoops-create", "--name", "Feature/X")
    assert result.status == 2 and "instance.name: 'Feature/X' is no name" in result.err, result
    assert emulator.log() == []


# ---- delete ----

def test_delete_saves_evidence_first(cloud, folder):
    emulator = cloud("#!/bin/sh\nexit 0\n")
    assert emulator.run("necoops-create").status == 0
    result = emulator.run("necoops-delete", "--yes", "--evidence", "out")
    assert result.status == 0, result
    saved = next((folder / "out").iterdir())
    # Whether the agent had the time to say something is not the question here.
    assert {p.name for p in saved.iterdir()} - {"console-2.log"} == {
        "console-1.log", "instance.json", "phases.json", "status.json"}
    status = json.loads((saved / "status.json").read_text())
    assert status["instance"]["status"] == "RUNNING" and status["phase"] == "ready"
    assert emulator.instances() == []


def test_delete_without_evidence_of_what_is_gone(cloud, folder):
    emulator = cloud("#!/bin/sh\nexit 0\n")
    result = emulator.run("necoops-delete", "--yes", "--evidence", "out")
    assert result.status == 0 and not (folder / "out").exists(), result


@pytest.mark.parametrize("argv, words", [
    (["--expired", "--evidence", "x"], "--evidence goes with the deletion of one instance"),
    (["--audit", "--name", "x"], "--name does not go with --expired and --audit"),
])
def test_delete_wrong_use(argv, words, cloud):
    emulator = cloud("#!/bin/sh\nexit 0\n")
    result = emulator.run("necoops-delete", "--yes", *argv)
    assert result.status == 2 and words in result.err, result
