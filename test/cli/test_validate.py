"""What went over the wire, held against Google's own descriptions of the APIs, where they are at
hand beside the project."""
import subprocess
import sys

import pytest

from conftest import QUICK, ROOT
from test_compute_curl import Curl, upload

VALIDATE = ROOT.parent / "shared/api/validate.py"
OTHERS = ("/token", "/v1/token", "/v1/projects/", "/computeMetadata/", "/emulator/")


def validate(log, *required):
    """(status, what it printed); only Google's paths count."""
    argv = [sys.executable, VALIDATE, "--responses", "-q"]
    for prefix in OTHERS:
        argv += ["--skip", prefix]
    for method in required:
        argv += ["--require", method]
    done = subprocess.run([*argv, log], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


pytestmark = pytest.mark.skipif(not VALIDATE.exists(), reason="no ../shared beside the project")


def google_log(emulator):
    """The log without what is spoken on the listeners of instances and clusters."""
    log = emulator.folder / "google.jsonl"
    lines = emulator.log_file.read_text().splitlines()
    log.write_text("".join(line + "\n" for line in lines if '"listener":"google"' in line))
    return log


def test_an_empty_log_fails(tmp_path):
    (tmp_path / "empty").write_text("")
    status, text = validate(tmp_path / "empty", "compute.instances.insert")
    assert status == 1 and "compute.instances.insert" in text


def test_a_morning_and_a_night(start_emulator):
    emulator = start_emulator("--run-startup-scripts", timings=QUICK, faults=[
        "operation=insert,zone=asia-northeast1-c,count=1,error=ZONE_RESOURCE_POOL_EXHAUSTED",
        "method=POST,path=*/instances,n=2,status=503,retry-after=0"])
    (emulator.folder / "setup.sh").write_text("#!/bin/sh\nexit 1\n")
    options = ("--set", "instance.localSsds=1", "--set", "instance.labels={team: neco}",
               "--set", "instance.minCpuPlatform=Intel Skylake", "--set", "instance.tags=a,b",
               "--set", "schedule.down=21:00", "--set", "schedule.timeZone=Asia/Tokyo")
    failed = emulator.run("necoops-create", "--set", "instance.setup=setup.sh", "--keep-failed",
                          "--set", "instance.provisioningModel=SPOT")
    assert failed.status == 1, failed
    for _ in range(2):
        result = emulator.run("necoops-create", *options)
        assert result.status == 0, result
    for argv in (["--extend", "1h"], ["--expired", "--yes"], ["--yes"], ["--yes"], ["--audit"]):
        result = emulator.run("necoops-delete", *argv)
        assert result.status == 0, result
    status, text = validate(
        google_log(emulator), "compute.instances.insert", "compute.instances.delete",
        "compute.instances.aggregatedList", "compute.instances.get", "compute.zoneOperations.wait",
        "compute.zoneOperations.list", "compute.instances.getSerialPortOutput",
        "compute.instances.getGuestAttributes", "compute.instances.setLabels",
        "compute.images.getFromFamily", "compute.machineTypes.get", "compute.disks.list")
    assert status == 0, text


def test_status_and_doctor(start_emulator):
    objects = {"init.tar.zst": {"text": "x"}}
    emulator = start_emulator("--run-startup-scripts", timings=QUICK,
                              seed={"buckets": {"neco-snapshots": {"objects": objects}}})
    (emulator.folder / "setup.sh").write_text("#!/bin/sh\nexit 1\n")
    for status, argv in [
            (1, ["necoops-create", "--evidence", "out", "--keep-failed-for", "1h",
                 "--set", "instance.setup=setup.sh"]),
            (0, ["necoops-create", "--follow", "--name", "neco-ops-2"]),
            (0, ["necoops-status"]),
            (0, ["necoops-status", "--doctor", "--set", "results=gs://neco-snapshots/x", "--set",
                 "snapshot.source=gs://neco-snapshots/init.tar.zst", "--set",
                 "snapshot.to=/var/scratch/placemat"]),
            (1, ["necoops-delete", "--audit"]),
            (0, ["necoops-delete", "--yes", "--evidence", "out"])]:
        result = emulator.run(*argv)
        assert result.status == status, result
    status, text = validate(
        google_log(emulator), "compute.projects.get", "compute.zoneOperations.list",
        "compute.instances.testIamPermissions", "compute.instances.getSerialPortOutput",
        "compute.instances.setLabels", "compute.disks.aggregatedList", "compute.machineTypes.get",
        "storage.objects.get", "storage.buckets.testIamPermissions")
    assert status == 0, text


def test_storage_as_documented(start_emulator):
    emulator = start_emulator(timings=QUICK)
    curl = Curl(emulator)
    (emulator.folder / "content").write_bytes(b"content")
    objects = "/storage/v1/b/neco-snapshots/o"
    assert curl.send("POST", "/storage/v1/b?project=neco-test",
                     {"name": "neco-snapshots"}).status == 200
    parts = [upload(curl, name) for name in ("a", "b")]
    curl.send("POST", f"{objects}/whole/compose", {
        "sourceObjects": [{"name": p["name"]} for p in parts], "destination": {}})
    curl(f"{objects}?prefix=a")
    curl(f"{objects}/whole")
    curl(f"{objects}/whole?alt=media", "-H", "Range: bytes=1-3")
    curl.send("PATCH", f"{objects}/whole", {"metadata": {"tag": "init"}})
    curl(f"{objects}/a", "-X", "DELETE")
    status, text = validate(google_log(emulator), "storage.buckets.insert", "storage.objects.insert",
                            "storage.objects.compose", "storage.objects.list",
                            "storage.objects.get", "storage.objects.patch",
                            "storage.objects.delete")
    assert status == 0, text
