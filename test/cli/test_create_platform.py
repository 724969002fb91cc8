"""The ladder stays within the CPU platform that the snapshot's manifest names."""
import json

import pytest

from conftest import QUICK, wait_for

SOURCE = "gs://neco-snapshots/current.json"


def manifest(platform=None):
    """A set's manifest, as necoops-snapshot-save writes it."""
    value = {"kind": "necoops.snapshot", "formatVersion": 1, "tags": ["init"],
             "objects": [{"name": "init.tar.zst", "generation": "1", "size": "1",
                          "crc32c": "AAAAAA=="}]}
    if platform:
        value["cpuPlatform"] = platform
    return json.dumps(value)


def pointer(*sets):
    """current.json that names these sets."""
    return json.dumps({"kind": "necoops.current", "formatVersion": 1,
                       "sets": [{"manifest": f"sets/{name}/manifest.json"} for name in sets]})


@pytest.fixture
def cloud(start_emulator, folder):
    """An emulator with these objects in the bucket of snapshots, which the configuration loads."""
    def start(source=SOURCE, seed=None, faults=(), **objects):
        config = (folder / "necoops.yaml").read_text()
        (folder / "necoops.yaml").write_text(
            config + f"snapshot: {{source: {json.dumps(source)}, to: /var/scratch/placemat}}\n")
        bucket = {"objects": {name: {"text": text} for name, text in objects.items()}}
        return start_emulator(timings=QUICK, faults=faults,
                              seed={"buckets": {"neco-snapshots": bucket}, **(seed or {})})
    return start


def of_set(platform):
    """The objects of one set and the pointer to it."""
    return {"current.json": pointer("1"), "sets/1/manifest.json": manifest(platform)}


def inserts(emulator):
    """The bodies of what was to be inserted."""
    return [e["body"] for e in emulator.calls("POST") if e["path"].endswith("/instances")]


def reads(emulator):
    """The requests to Cloud Storage."""
    return [e["path"].rpartition("/")[2] for e in emulator.log() if "/storage/v1/" in e["path"]]


def create(emulator, *argv):
    """Creates, and says ready from inside."""
    run = emulator.start("necoops-create", *argv)
    wait_for(lambda: run.process.poll() is not None or
             [i["status"] for i in emulator.instances()] == ["RUNNING"])
    if run.process.poll() is None:
        emulator.report_phase("ready")
    return run.end()


def planned(emulator, *argv):
    """The request of --dry-run."""
    result = emulator.run("necoops-create", "--dry-run", *argv)
    assert result.status == 0, result
    return result.json["request"]


def types(*names):
    """The option that configures these machine types."""
    return ["--set", "instance.machineTypes=" + ",".join(names)]


def test_the_manifests_platform_is_asked_for(cloud):
    emulator = cloud(**of_set("Intel Haswell"))
    result = create(emulator)
    assert result.status == 0, result
    assert [body["minCpuPlatform"] for body in inserts(emulator)] == ["Intel Haswell"]
    assert len(reads(emulator)) >= 2, "the pointer, then the manifest"
    before = len(reads(emulator))
    again = emulator.run("necoops-create")
    assert again.status == 0 and len(reads(emulator)) == before, "what is ready needs no look"


def test_each_rung_asks_for_what_its_machines_have(cloud):
    full = "operation=insert,zone={},count=2,error=ZONE_RESOURCE_POOL_EXHAUSTED"
    emulator = cloud(faults=[full.format("asia-northeast1-c"), full.format("asia-northeast1-b")],
                     **of_set("Intel Skylake"))
    result = emulator.run("necoops-create", *types("n1-highmem-8", "n2-highmem-8"))
    assert result.status == 7, result
    assert [(b["machineType"].rpartition("/")[2], b.get("minCpuPlatform")) for b in inserts(emulator)] \
        == [("n1-highmem-8", "Intel Skylake")] * 2 + [("n2-highmem-8", None)] * 2


def test_types_that_cannot_are_left_out(cloud):
    emulator = cloud(**of_set("Intel Ice Lake"))
    result = create(emulator, *types("n1-highmem-8", "n2-highmem-8"))
    assert result.status == 0, result
    assert ("necoops-create: warning: 'n1-highmem-8' machines cannot be held to the CPU platform "
            "'Intel Ice Lake' or a newer one, which the snapshot needs: it is left out\n") in result.err
    assert [(b["machineType"].rpartition("/")[2], b["minCpuPlatform"]) for b in inserts(emulator)] == [
        ("n2-highmem-8", "Intel Ice Lake")]


@pytest.mark.parametrize("argv", [[], ["--dry-run"]])
def test_no_type_can(argv, cloud):
    emulator = cloud(**of_set("AMD Milan"))
    result = emulator.run("necoops-create", *argv)
    assert result.status == 2, result
    assert result.err.splitlines()[-1] == (
        "necoops-create: error: instance.machineTypes: 'n1-highmem-8' machines cannot be held to the "
        "CPU platform 'AMD Milan' or a newer one, which the snapshot needs")
    assert inserts(emulator) == []


@pytest.mark.parametrize("saved, asked, wanted, warned", [
    ("Intel Haswell", "Intel Skylake", "Intel Skylake", False),
    ("Intel Haswell", "Intel Haswell", "Intel Haswell", False),
    ("Intel Haswell", "Intel Ivy Bridge", "Intel Haswell", True),
    (None, "Intel Ivy Bridge", "Intel Ivy Bridge", False),
    (None, None, None, False)])
def test_what_is_configured_counts_when_it_is_newer(saved, asked, wanted, warned, cloud):
    emulator = cloud(**of_set(saved))
    argv = ["--set", f"instance.minCpuPlatform={asked}"] if asked else []
    result = emulator.run("necoops-create", "--dry-run", *argv)
    assert result.status == 0, result
    assert result.json["request"].get("minCpuPlatform") == wanted
    said = (f"instance.minCpuPlatform '{asked}' does not run what was saved on '{saved}', as the "
            "snapshot was: that counts")
    assert (said in result.err) == warned, result


def test_a_family_that_is_not_known_is_left_to_the_cloud(cloud):
    emulator = cloud(seed={"machineTypes": {"z9-big-8": {"family": "n1", "guestCpus": 8,
                                                         "memoryMb": 8192}}},
                     **of_set("Intel Haswell"))
    assert planned(emulator, *types("z9-big-8"))["minCpuPlatform"] == "Intel Haswell"


def test_a_set_that_cannot_be_read_is_passed_over(cloud):
    emulator = cloud(**{"current.json": pointer("3", "2", "1"), "sets/2/manifest.json": "{}",
                        "sets/1/manifest.json": manifest("Intel Broadwell")})
    assert planned(emulator)["minCpuPlatform"] == "Intel Broadwell"


def test_a_manifest_itself(cloud):
    emulator = cloud(source="gs://neco-snapshots/sets/1/manifest.json", **of_set("Intel Haswell"))
    assert planned(emulator)["minCpuPlatform"] == "Intel Haswell"


def test_an_archive_says_nothing(cloud):
    emulator = cloud(source="gs://neco-snapshots/init.tar.zst")
    assert "minCpuPlatform" not in planned(emulator)
    assert reads(emulator) == []


@pytest.mark.parametrize("objects, faults, words", [
    ({"current.json": "no JSON"}, [], "current.json"),
    ({"current.json": pointer("1")}, [], "names no set that can be read, the last: "),
    (of_set("Intel Haswell"), ["path=/*storage/v1/*,count=0,status=403,reason=forbidden"], "denied")])
def test_not_known_is_said_and_the_instance_made(objects, faults, words, cloud):
    emulator = cloud(faults=faults, **objects)
    result = emulator.run("necoops-create", "--dry-run")
    assert result.status == 0 and "minCpuPlatform" not in result.json["request"], result
    assert "warning: which CPU platform the snapshot needs is not known: " in result.err
    assert words in result.err, result


@pytest.mark.parametrize("source", [SOURCE, "gs://nowhere/current.json"])
def test_a_snapshot_that_is_not_there_is_told_before_anything_is_paid_for(source, cloud):
    emulator = cloud(source=source)
    result = emulator.run("necoops-create")
    assert result.status == 2, result
    assert "necoops-create: error: snapshot.source: " in result.err and source[5:] in result.err, result
    assert inserts(emulator) == []
