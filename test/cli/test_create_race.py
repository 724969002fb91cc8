"""One name, one instance, over all zones, however many runs make it at once."""
import json
import random
import time

import pytest

from conftest import QUICK

TIMINGS = ("operation-pending=50ms", "operation-running=150ms", "boot=20ms",
           "guest-attributes-window=20ms")


def check_ended_well(runs, statuses=(0,)):
    """Every run ended with one of these statuses."""
    results = [run.end() for run in runs]
    for result in results:
        assert result.status in statuses, result
    return results


def race(emulator, count):
    """So many runs together; the one instance that is left."""
    results = check_ended_well([emulator.start("necoops-create", "-o", "json")
                                for _ in range(count)])
    left = emulator.instances()
    assert [i["name"] for i in left] == ["neco-ops"], (left, results)
    assert left[0]["status"] == "RUNNING", left
    assert {result.json["id"] for result in results} == {left[0]["id"]}, "all name the one left"
    return left[0]


def stockout_that_passes(milliseconds):
    """No room in the first zone, until so long after somebody first asked."""
    return ("operation=insert,zone=asia-northeast1-c,count=0,"
            f"until={milliseconds}ms,error=ZONE_RESOURCE_POOL_EXHAUSTED")


def test_ten_together(start_emulator):
    emulator = start_emulator("--run-startup-scripts", timings=TIMINGS,
                              faults=[stockout_that_passes(300)])
    race(emulator, 10)
    faulted = [e for e in emulator.log() if "fault" in e]
    assert faulted, "nobody ran into the stock-out"


@pytest.mark.soak
@pytest.mark.parametrize("number", range(50))
def test_ten_together_again_and_again(number, start_emulator):
    dice = random.Random(number)
    emulator = start_emulator(
        "--run-startup-scripts",
        faults=[stockout_that_passes(dice.choice([1, 50, 150, 300, 600, 1200])) +
                dice.choice(["", ",vanish"])],
        timings=(f"operation-pending={dice.choice([1, 20, 100, 400])}ms",
                 f"operation-running={dice.choice([1, 50, 200, 700])}ms",
                 f"boot={dice.choice([1, 100, 1000])}ms", TIMINGS[3]))
    race(emulator, 10)


def mingle(emulator, dice, count):
    """Starts creations and deletions at random; returns when all have ended."""
    runs = []
    for _ in range(count):
        tool = dice.choice([["necoops-create"], ["necoops-create"], ["necoops-delete", "--yes"]])
        runs.append(emulator.start(*tool))
        time.sleep(dice.choice([0, 0.05, 0.2, 0.6]))
    for run in runs:
        result = run.end()
        if result.argv[0] == "necoops-delete" and result.status == 1:
            assert "comes up again and again: another run makes it" in result.err, result
        elif result.status == 1:
            # Somebody deleted it meanwhile: that is said, not mended.
            assert "was deleted while it was being set up" in result.err or \
                "went away again and again" in result.err, result
        else:
            assert result.status == 0, result


def check_day(emulator, seed):
    """Random runs, then an ordinary morning and night."""
    mingle(emulator, random.Random(seed), 8)
    assert len(emulator.instances()) <= 1, json.dumps(emulator.instances())
    race(emulator, 1)
    result = emulator.run("necoops-delete", "--yes")
    assert result.status == 0 and emulator.instances() == [], result
    status, value = emulator.api("GET", "/compute/v1/projects/neco-test/aggregated/disks")
    assert status == 200
    assert [d for scope in value["items"].values() for d in scope.get("disks", [])] == []


def test_creations_and_deletions_mingled(start_emulator):
    emulator = start_emulator("--run-startup-scripts", timings=QUICK,
                              faults=[stockout_that_passes(500)])
    check_day(emulator, 1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 32))
def test_creations_and_deletions_mingled_again_and_again(seed, start_emulator):
    emulator = start_emulator("--run-startup-scripts", timings=TIMINGS,
                              faults=[stockout_that_passes(500)])
    check_day(emulator, seed)
