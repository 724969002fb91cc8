"""necoops-delete against the emulator: by id, idempotent, verified, nothing of others touched."""
import os
import pty
import re
import signal
import subprocess
import uuid

import pytest

from conftest import PATIENCE, QUICK, clean_environ, wait_for

ZONES = ["asia-northeast1-c", "asia-northeast1-b"]
ACCOUNT = "neco-ops@neco-test.iam.gserviceaccount.com"
INSTANCE = {"name": "neco-ops", "zone": "asia-northeast1-c", "machineType": "n1-highmem-8",
            "labels": {"necoops": "managed"}}


@pytest.fixture
def cloud(start_emulator):
    """An emulator in which there are instances."""
    def start(*instances, **kwargs):
        rows = instances or ({},)
        seed = {"instances": [{**INSTANCE, **row} for row in rows], **kwargs.pop("seed", {})}
        return start_emulator(**{"timings": QUICK, "seed": seed, **kwargs})
    return start


def deletions(emulator, kind="instances"):
    """(zone, id or name) of what was asked to be deleted."""
    return [tuple(re.search(rf"/zones/([^/]+)/{kind}/([^/]+)$", e["path"]).groups())
            for e in emulator.calls("DELETE", f"/{kind}/")]


def mutations(emulator):
    """Requests that change something."""
    return [e for e in emulator.log() if e["path"].startswith("/compute/") and
            e["method"] != "GET" and not e["path"].endswith("/wait")]


def make_disk(emulator, name, labels, zone="asia-northeast1-c"):
    """A disk that nothing uses."""
    emulator.finish_operation(zone, emulator.api("POST", emulator.zone_url(zone, "disks"), {
        "name": name, "sizeGb": "10", "labels": labels}))


def disks(emulator, zone="asia-northeast1-c"):
    """The names of a zone's disks."""
    status, value = emulator.api("GET", emulator.zone_url(zone, "disks"))
    assert status == 200, value
    return [disk["name"] for disk in value.get("items", [])]


def test_is_deleted_by_its_id(cloud):
    emulator = cloud()
    before = emulator.instances()[0]
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0, result
    assert result.out == "instance neco-ops in asia-northeast1-c is deleted\n"
    assert result.err == (f"necoops-delete: delete: deleting neco-ops ({before['id']}) in "
                          "asia-northeast1-c\n")
    assert emulator.instances() == [] and disks(emulator) == []
    entry = emulator.calls("DELETE", "/instances/")[0]
    assert deletions(emulator) == [("asia-northeast1-c", before["id"])]
    assert set(entry["query"]) == {"requestId", "prettyPrint"} and entry["body"] is None
    assert uuid.UUID(entry["query"]["requestId"]).int != 0
    waits = [e for e in emulator.calls("POST") if e["path"].endswith("/wait")]
    assert waits[-1]["response"]["status"] == "DONE", "its end is waited for"
    looks = [e for e in emulator.log() if e["path"].endswith("/aggregated/instances")]
    assert emulator.log().index(waits[-1]) < emulator.log().index(looks[-2]), "absence is verified"


def test_is_deleted_in_json(cloud):
    emulator = cloud()
    before = emulator.instances()[0]
    result = emulator.run("necoops-delete", "--yes", "-o", "json")
    assert result.status == 0, result
    assert result.json == {"name": "neco-ops", "dryRun": False, "disks": [], "instances": [
        {"id": before["id"], "name": "neco-ops", "zone": "asia-northeast1-c"}]}


def test_already_gone(cloud):
    emulator = cloud({"name": "another"}, {"zone": "us-central1-a"})
    for _ in range(2):
        result = emulator.run("necoops-delete", "--yes")
        assert result.status == 0 and result.err == "", result
        assert result.out == "there is no instance neco-ops\n"
    result = emulator.run("necoops-delete", "--yes", "-o", "json")
    assert result.json == {"name": "neco-ops", "dryRun": False, "instances": [], "disks": []}
    assert mutations(emulator) == [] and len(emulator.instances()) == 2


@pytest.mark.parametrize("state", ["RUNNING", "TERMINATED"])
def test_in_every_zone(state, cloud):
    emulator = cloud({"status": state}, {"zone": "asia-northeast1-b"}, {"name": "neco-ops-2"})
    ids = {i["id"] for i in emulator.instances() if i["name"] == "neco-ops"}
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0, result
    assert sorted(result.out.splitlines()) == [
        f"instance neco-ops in {zone} is deleted" for zone in sorted(ZONES)]
    assert {name for _, name in deletions(emulator)} == ids
    assert [i["name"] for i in emulator.instances()] == ["neco-ops-2"]


def test_deleted_by_another_meanwhile(cloud):
    emulator = cloud(faults=["method=DELETE,path=*/instances/*,status=404,reason=notFound"])
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0, result
    assert len(deletions(emulator)) == 2, "absence is verified, and it was still there"
    assert emulator.instances() == []


def test_together(cloud):
    emulator = cloud(timings=("operation-pending=100ms", "operation-running=300ms"))
    started = [emulator.start("necoops-delete", "--yes") for _ in range(5)]
    for process in started:
        result = process.end()
        assert result.status == 0, result
    assert emulator.instances() == []


def test_insertion_that_is_running(cloud):
    emulator = cloud({"name": "another"}, timings=("operation-running=2s",))
    body = {"name": "neco-ops", "machineType": "zones/asia-northeast1-b/machineTypes/n1-highmem-8",
            "disks": [{"boot": True, "autoDelete": True, "initializeParams": {
                "sourceImage": "projects/debian-cloud/global/images/family/debian-12"}}],
            "networkInterfaces": [{"network": "global/networks/default"}]}
    status, operation = emulator.api(
        "POST", emulator.zone_url("asia-northeast1-b", "instances"), body)
    assert status == 200, operation
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0, result
    assert [i["name"] for i in emulator.instances()] == ["another"]


def test_leftover_disks(cloud):
    emulator = cloud({"disks": [{"boot": True, "autoDelete": False, "initializeParams": {
        "sourceImage": "projects/debian-cloud/global/images/family/debian-12",
        "labels": {"necoops": "managed", "necoops-instance": "neco-ops"}}}]})
    make_disk(emulator, "home", {"necoops": "managed", "necoops-instance": "neco-ops"})
    make_disk(emulator, "of-another", {"necoops": "managed", "necoops-instance": "neco-ops-2"})
    make_disk(emulator, "of-people", {"team": "neco"})
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0, result
    assert "leftover disk home in asia-northeast1-c is deleted" in result.out.splitlines(), result
    assert result.out.count("leftover disk ") == 2, result
    assert sorted(disks(emulator)) == ["of-another", "of-people"]
    assert ("asia-northeast1-c", "home") in deletions(emulator, "disks")
    for entry in emulator.calls("DELETE", "/disks/"):
        assert uuid.UUID(entry["query"]["requestId"]).int != 0


def test_leftover_disk_without_an_instance(cloud):
    emulator = cloud({"name": "another"})
    make_disk(emulator, "home", {"necoops": "managed", "necoops-instance": "neco-ops"})
    result = emulator.run("necoops-delete", "--yes", "-o", "json")
    assert result.status == 0, result
    assert result.json == {"name": "neco-ops", "dryRun": False, "instances": [],
                           "disks": [{"name": "home", "zone": "asia-northeast1-c"}]}


# ---- asking ----

def test_nobody_to_ask(cloud):
    emulator = cloud()
    before = len(emulator.log())
    result = emulator.run("necoops-delete")
    assert result.status == 2 and result.out == "", result
    assert result.err == ("necoops-delete: error: nobody is here to ask 'delete the instance?'; "
                          "give --yes to go on\n")
    assert len(emulator.log()) == before, "not even looked"


def on_terminal(emulator, answer):
    """Runs it on a terminal where a person types this; (status, what was shown)."""
    master, slave = pty.openpty()
    process = subprocess.Popen(["necoops-delete"], cwd=emulator.folder, stdin=slave, stdout=slave,
                               stderr=slave, env=clean_environ(**emulator.env, TERM="xterm"))
    os.close(slave)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(master, 4096)
    os.write(master, answer)
    try:
        while True:
            data = os.read(master, 4096)
            if not data:
                break
            shown += data
    except OSError:  # the other side is closed
        pass
    os.close(master)
    return process.wait(PATIENCE), shown.decode()


@pytest.mark.parametrize("answer, status", [(b"y\n", 0), (b"n\n", 1), (b"\n", 1), (b"\x04", 1)])
def test_a_person_is_asked(answer, status, cloud):
    emulator = cloud()
    before = emulator.instances()[0]
    ended, shown = on_terminal(emulator, answer)
    assert f"delete instance neco-ops ({before['id']}) in asia-northeast1-c? [y/N]" in shown
    assert ended == status, shown
    assert len(emulator.instances()) == (0 if status == 0 else 1)
    if status != 0:
        assert "not confirmed; nothing was changed" in shown and mutations(emulator) == []


def test_dry_run(cloud):
    emulator = cloud({}, {"zone": "asia-northeast1-b", "status": "TERMINATED"})
    ids = {i["zone"].rpartition("/")[2]: i["id"] for i in emulator.instances()}
    result = emulator.run("necoops-delete", "--dry-run")
    assert result.status == 0 and result.err == "", result
    assert set(result.out.splitlines()) == {
        f"instance neco-ops in {zone} would be deleted" for zone in ZONES}
    result = emulator.run("necoops-delete", "--dry-run", "-o", "json")
    assert result.json["dryRun"] is True
    assert {entry["id"]: (entry["zone"], entry["status"])
            for entry in result.json["instances"]} == {
        ids["asia-northeast1-b"]: ("asia-northeast1-b", "TERMINATED"),
        ids["asia-northeast1-c"]: ("asia-northeast1-c", "RUNNING")}
    assert mutations(emulator) == [] and len(emulator.instances()) == 2


# ---- failures ----

def test_permission(cloud):
    emulator = cloud(seed={"accounts": {"default": {"deny": ["compute.instances.delete"]}}})
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 4, result
    assert f"permission 'compute.instances.delete' is denied to {ACCOUNT}" in result.err
    assert len(emulator.instances()) == 1


def test_operation_that_fails(cloud):
    emulator = cloud(faults=["operation=delete,error=INTERNAL_ERROR,message=Internal error."])
    before = emulator.instances()[0]
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 1, result
    assert result.err.splitlines()[-1] == (
        f"necoops-delete: error: deletion of instance 'neco-ops' ({before['id']}) in "
        "asia-northeast1-c: INTERNAL_ERROR: Internal error.")


def test_protected(cloud):
    emulator = cloud({"deletionProtection": True})
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 2, result
    assert "protected against deletion" in result.err
    assert len(emulator.instances()) == 1


@pytest.mark.parametrize("rule", ["status=503,retry-after=0", "status=503,retry-after=0,after",
                                  "reset,after"])
def test_is_tried_again_with_its_id(rule, cloud):
    emulator = cloud(faults=[f"method=DELETE,path=*/instances/*,{rule}"])
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0, result
    asked = emulator.calls("DELETE", "/instances/")
    assert len(asked) == 2 and len({e["query"]["requestId"] for e in asked}) == 1
    assert emulator.instances() == []


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(number, status, cloud):
    emulator = cloud(timings=("operation-running=4s",))
    run = emulator.start("necoops-delete", "--yes")
    wait_for(lambda: deletions(emulator))
    run.signal(number)
    result = run.end()
    assert result.status == status and result.out == "", result
    again = emulator.run("necoops-delete", "--yes")
    assert again.status == 0 and emulator.instances() == [], again


def test_timeout(cloud):
    emulator = cloud(timings=("operation-running=1h",))
    result = emulator.run("necoops-delete", "--yes", "--timeout", "4s")
    assert result.status == 6, result
    assert "timed out waiting for deletion of instance 'neco-ops'" in result.err, result


def test_a_zone_that_is_none(cloud):
    emulator = cloud()
    result = emulator.run("necoops-delete", "--yes", "--set", "zones=asia-northeast9-x")
    assert result.status == 2, result
    assert result.err.splitlines()[-1] == ("necoops-delete: error: there is no zone "
                                           "'asia-northeast9-x'; see zones in the configuration")


def test_zone_that_cannot_be_asked(cloud):
    body = ('{"kind": "compute#instanceAggregatedList"\\, "items": {"zones/asia-northeast1-b": '
            '{"warning": {"code": "UNREACHABLE"}}}}')
    emulator = cloud(faults=[f"path=*/aggregated/instances,count=0,status=200,body={body}"])
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 1, result
    assert "zone 'asia-northeast1-b' cannot be asked now" in result.err
    assert mutations(emulator) == []
