"""necoops-delete --expired: disks that instances left behind."""
import uuid

import pytest

from conftest import QUICK
from test_delete import deletions, disks, make_disk
from test_sweep import FUTURE, PAST, names, row


@pytest.fixture
def cloud(start_emulator):
    """An emulator with these instances."""
    return lambda *rows, **kwargs: start_emulator(
        **{"timings": QUICK, "seed": {"instances": list(rows)}, **kwargs})


def owned(name, **labels):
    """The labels of a disk that was made for an instance."""
    return {"necoops": "managed", "necoops-instance": name, **labels}


def loose(emulator):
    """Names of the disks that no instance uses."""
    status, value = emulator.api("GET", "/compute/v1/projects/neco-test/aggregated/disks")
    assert status == 200, value
    return sorted(disk["name"] for scope in value.get("items", {}).values()
                  for disk in scope.get("disks", []) if not disk.get("users"))


def kept_disk(labels):
    """The disk of an instance that is not deleted with it."""
    return [{"boot": True, "autoDelete": False, "initializeParams": {
        "sourceImage": "projects/debian-cloud/global/images/family/debian-12", "labels": labels}}]


def test_leftover_disks_go(cloud):
    emulator = cloud(row("neco-ops", PAST, disks=kept_disk(owned("neco-ops"))),
                     row("lives", FUTURE, disks=kept_disk(owned("lives"))))
    boot = {i["name"]: i["disks"][0]["source"].rpartition("/")[2] for i in emulator.instances()}
    make_disk(emulator, "home", owned("neco-ops"))
    make_disk(emulator, "of-yesterday", owned("build-7"), zone="us-central1-f")
    make_disk(emulator, "of-the-living", owned("lives"), zone="us-central1-f")
    make_disk(emulator, "of-nobody", {"necoops": "managed"})
    make_disk(emulator, "of-people", {"necoops-instance": "neco-ops"})
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 0, result
    assert {line for line in result.out.splitlines() if "disk" in line} == {
        f"leftover disk {boot['neco-ops']} in asia-northeast1-c is deleted",
        "leftover disk home in asia-northeast1-c is deleted",
        "leftover disk of-yesterday in us-central1-f is deleted"}
    assert names(emulator) == ["lives"]
    assert loose(emulator) == ["of-nobody", "of-people", "of-the-living"]
    assert boot["lives"] in disks(emulator)
    asked = [e for e in emulator.calls("DELETE", "/disks/")]
    assert len(asked) == 3 and len({uuid.UUID(e["query"]["requestId"]) for e in asked}) == 3
    listed = [e for e in emulator.calls("GET", "aggregated/disks") if "filter" in e["query"]]
    assert [e["query"]["filter"] for e in listed] == ["labels.necoops=managed"]
    assert listed[0]["query"]["fields"].endswith("items/*(disks(name,zone,users,labels),warning)")


def test_an_instance_that_is_no_longer_ours_lives_too(cloud):
    emulator = cloud(row("neco-ops", zone="us-central1-f"))  # somebody took its labels away
    make_disk(emulator, "home", owned("neco-ops"))
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 0 and loose(emulator) == ["home"], result
    assert emulator.calls("DELETE") == []


def test_a_disk_of_an_instance_that_is_being_made_stays(cloud):
    """The insertion is under way, and no instance shows yet."""
    emulator = cloud(row("plain"), timings=(*QUICK[:1], "operation-running=4s"))
    make_disk(emulator, "home", owned("neco-ops"))
    body = {"name": "neco-ops", "machineType": "zones/asia-northeast1-c/machineTypes/n1-highmem-8",
            "disks": kept_disk(owned("neco-ops")),
            "networkInterfaces": [{"network": "global/networks/default"}]}
    answer = emulator.api("POST", emulator.zone_url("asia-northeast1-c", "instances"), body)
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 0 and emulator.calls("DELETE") == [], result
    emulator.finish_operation("asia-northeast1-c", answer)
    assert "home" in loose(emulator)


def test_what_is_excluded_keeps_its_disks(cloud):
    emulator = cloud(row("plain"))
    make_disk(emulator, "a", owned("keep-1"))
    make_disk(emulator, "b", owned("build-1", keep="yes"))
    make_disk(emulator, "c", owned("build-1"))
    result = emulator.run("necoops-delete", "--expired", "--yes", "--exclude", "keep-*",
                          "--exclude-label", "keep=yes")
    assert result.status == 0 and loose(emulator) == ["a", "b"], result


def test_a_plan_of_disks(cloud):
    emulator = cloud(row("neco-ops", PAST))
    make_disk(emulator, "home", owned("gone"))
    result = emulator.run("necoops-delete", "--expired", "--dry-run", "-o", "json")
    assert result.status == 0, result
    assert result.json["disks"] == [{"name": "home", "zone": "asia-northeast1-c", "instance": "gone"}]
    assert [i["name"] for i in result.json["deleted"]] == ["neco-ops"]
    assert emulator.calls("DELETE") == [] and loose(emulator) == ["home"]
    shown = emulator.run("necoops-delete", "--expired", "--dry-run")
    assert "leftover disk home in asia-northeast1-c would be deleted\n" in shown.out, shown


def test_a_disk_that_cannot_be_deleted(cloud):
    emulator = cloud(row("neco-ops", PAST), faults=[
        "operation=delete,n=2,error=RESOURCE_IN_USE_BY_ANOTHER_RESOURCE,"
        "message=The disk resource 'home' is already being used by 'other'"])
    make_disk(emulator, "home", owned("gone"))
    make_disk(emulator, "other", owned("gone"))
    result = emulator.run("necoops-delete", "--expired", "--yes", "-o", "json")
    assert result.status == 1, result
    assert "error: 1 of 2 leftover disks could not be deleted: " in result.err
    assert [i["name"] for i in result.json["deleted"]] == ["neco-ops"]
    assert len(result.json["disks"]) == len(result.json["failedDisks"]) == 1
    assert "already being used" in result.json["failedDisks"][0]["why"]


def test_a_disk_that_another_sweep_took(cloud):
    emulator = cloud(row("plain"), faults=["method=DELETE,path=*/disks/*,status=404,reason=notFound"])
    make_disk(emulator, "home", owned("gone"))
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 0 and "leftover disk home" in result.out, result
    assert deletions(emulator, "disks") == [("asia-northeast1-c", "home")]


def test_not_allowed_to_look_for_disks(start_emulator):
    emulator = start_emulator(timings=QUICK, seed={
        "instances": [row("neco-ops", PAST)],
        "accounts": {"default": {"deny": ["compute.disks.list"]}}})
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 4 and "permission 'compute.disks.list' is denied" in result.err, result
    assert "instance neco-ops in asia-northeast1-c is deleted\n" in result.out
    assert names(emulator) == []
