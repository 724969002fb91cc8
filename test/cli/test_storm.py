"""Twenty creations and five deletions at random within ten seconds: at the end at most one instance and no
disk too many, and every status 0 is borne out by what the cloud did."""
import datetime
import json
import random
import re
import time

import pytest

SLACK = 1.0  # seconds that a busy machine may take between an answer and the line that tells of it
EXPECTED = ("was deleted while it was being set up", "went away again and again",
            "comes up again and again: another run makes it")


def seconds(text):
    """A time of the API as seconds since the epoch."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def last_look(result):
    """When a program last asked which instances there are, and when it knew; from its log."""
    for line in reversed(result.err.splitlines()):
        line = json.loads(line)
        found = re.search(r"^GET .*/aggregated/instances\b.*: 200 \((\d+) ms\)$", line["message"])
        if found:
            knew = seconds(line["time"])
            return knew - int(found.group(1)) / 1000 - SLACK, knew
    raise AssertionError(result)


def lives(emulator):
    """For each instance there ever was: when it was asked for, made, and asked to go; from the cloud's own
    operations."""
    found = {}
    for zone in "asia-northeast1-c", "asia-northeast1-b":
        status, value = emulator.api("GET", emulator.zone_url(zone, "operations?maxResults=500"))
        assert status == 200 and "nextPageToken" not in value
        for operation in value.get("items", []):
            life = found.setdefault(operation["targetId"], {})
            if operation["operationType"] == "insert" and "error" not in operation:
                life["asked"] = seconds(operation["insertTime"])
                life["made"] = seconds(operation["endTime"])
            elif operation["operationType"] == "delete" and "error" not in operation:
                life["gone"] = min(life.get("gone", 1e12), seconds(operation["insertTime"]))
    return {key: life for key, life in found.items() if "asked" in life}


def check_run(result, known):
    """A status 0 was true when the program last looked."""
    if result.status != 0:
        assert result.status == 1 and any(words in result.err for words in EXPECTED), result
        return
    asked, knew = last_look(result)
    if result.argv[0] == "necoops-delete":
        alive = {key for key, life in known.items()
                 if life["asked"] < asked and life.get("gone", 1e12) > knew}
        assert not alive, (alive, known, result)
        return
    life = known[result.json["id"]]
    assert life["made"] <= knew, (life, result)
    assert life.get("gone", 1e12) > asked, (life, asked, result)


def storm(emulator, seed):
    """Starts them all, and checks what they said and what is left."""
    dice = random.Random(seed)
    kinds = [["necoops-create", "-o", "json"]] * 20 + [["necoops-delete", "--yes"]] * 5
    kinds = [[*argv, "-v", "--log-format", "json"] for argv in kinds]
    dice.shuffle(kinds)
    begin = time.monotonic()
    runs = []
    for at, argv in zip(sorted(dice.uniform(0, 10) for _ in kinds), kinds):
        time.sleep(max(0, begin + at - time.monotonic()))
        runs.append(emulator.start(*argv))
    results = [run.end() for run in runs]
    known = lives(emulator)
    for result in results:
        check_run(result, known)
    left = emulator.instances()
    assert len(left) <= 1, left
    status, value = emulator.api("GET", "/compute/v1/projects/neco-test/aggregated/disks")
    assert status == 200
    disks = [d for scope in value["items"].values() for d in scope.get("disks", [])]
    assert all(d.get("users") for d in disks) and len(disks) == len(left), disks


def start(start_emulator, seed):
    """An emulator whose times and stock-outs are those of this seed."""
    dice = random.Random(seed * 7 + 1)
    return start_emulator(
        "--run-startup-scripts",
        faults=["operation=insert,zone=asia-northeast1-c,count=0,error=ZONE_RESOURCE_POOL_EXHAUSTED,"
                f"until={dice.choice([1, 500, 3000])}ms" + dice.choice(["", ",vanish"])],
        timings=(f"operation-pending={dice.choice([1, 50, 300])}ms",
                 f"operation-running={dice.choice([1, 150, 700])}ms",
                 f"boot={dice.choice([1, 100, 500])}ms", "guest-attributes-window=20ms"))


def test_storm(start_emulator):
    storm(start(start_emulator, 0), 0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 51))
def test_storm_again_and_again(seed, start_emulator):
    storm(start(start_emulator, seed), seed)
