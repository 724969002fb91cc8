"""The least role of CI: with it, and nothing else, the whole life of an instance works."""
import re

import pytest

from conftest import QUICK, ROOT

ROLE = re.findall(r"^  - (compute\.\S+)$", (ROOT / "examples/roles/necoops-ci.yaml").read_text(), re.M)


def enforced():
    """Every permission that the emulator asks for."""
    text = "".join(p.read_text() for p in (ROOT / "lib/emulator/google/compute").glob("*.c"))
    return set(re.findall(r'"(compute\.[A-Za-z]+\.[A-Za-z]+)"', text))


@pytest.fixture
def life(start_emulator, folder):
    """The whole life of an instance; the status of each program."""
    (folder / "bad.sh").write_text("#!/bin/sh\nexit 1\n")

    def run(deny):
        emulator = start_emulator("--run-startup-scripts", timings=QUICK,
                                  seed={"accounts": {"default": {"deny": sorted(deny)}}})
        lives = [["necoops-create", "--evidence", "out", "--set", "instance.setup=bad.sh",
                  "--keep-failed-for", "1h"],
                 ["necoops-create", "--follow", "--set", "instance.tags=a",
                  "--set", "instance.labels={team: neco}"],
                 ["necoops-status"], ["necoops-status", "--doctor"],
                 ["necoops-delete", "--extend", "1h"], ["necoops-delete", "--expired", "--yes"],
                 ["necoops-delete", "--yes", "--evidence", "out"], ["necoops-delete", "--audit"]]
        return [emulator.run(*argv) for argv in lives]

    return run


def test_the_role_is_enough(life):
    results = life(enforced() - set(ROLE))
    statuses = [r.status for r in results]
    assert statuses == [1, 0, 0, 0, 0, 0, 0, 0], (statuses, results)
    assert "the setup of 'neco-ops' failed" in results[0].err, results[0]


# What the service asks for within an insertion, where the emulator asks for the insertion alone; with
# an exact image; and for a disk that is left over.
ELSEWHERE = {"compute.disks.create", "compute.disks.setLabels", "compute.images.useReadOnly",
             "compute.instances.setServiceAccount", "compute.instances.setTags",
             "compute.subnetworks.use", "compute.subnetworks.useExternalIp",
             "compute.images.get", "compute.disks.delete"}


@pytest.mark.soak
@pytest.mark.parametrize("permission", sorted(enforced() & set(ROLE) - ELSEWHERE))
def test_nothing_of_it_is_too_much(permission, life):
    results = life((enforced() - set(ROLE)) | {permission})
    told = "".join(r.out + r.err for r in results)
    assert permission in told, f"nothing needed it: {told}"


def test_the_manual_lists_it():
    manual = (ROOT / "man/necoops.7").read_text()
    assert ROLE and [p for p in ROLE if not re.search(rf"\b{re.escape(p)}\b", manual)] == []
