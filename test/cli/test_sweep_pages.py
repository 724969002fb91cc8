"""The sweep over many pages, zones that do not answer, and quota."""
import datetime
import json
import signal

import pytest

from conftest import QUICK
from test_sweep import FUTURE, PAST, names, row


@pytest.fixture
def cloud(start_emulator):
    """An emulator with these instances."""
    return lambda *rows, **kwargs: start_emulator(
        **{"timings": QUICK, "seed": {"instances": list(rows)}, **kwargs})


def listed(emulator):
    """The pages of the list that were asked for."""
    return [e for e in emulator.calls("GET", "aggregated/instances") if "fields" in e["query"]]


def comma(value):
    """JSON as a fault rule wants it."""
    return json.dumps(value).replace(",", "\\,")


def test_every_page_and_zone(cloud):
    emulator = cloud(row("keep-%d", FUTURE, count=900), row("gone-a", PAST, zone="us-central1-f"),
                     row("stay-%d", FUTURE, zone="us-central1-a", count=400),
                     row("gone-b", PAST, zone="us-central1-a", status="TERMINATED"))
    result = emulator.run("necoops-delete", "--expired", "--yes", "-o", "json")
    assert result.status == 0, result
    pages = listed(emulator)
    assert len(pages) >= 3
    tokens = [p["query"].get("pageToken") for p in pages]
    assert tokens[0] is None and None not in tokens[1:] and len(set(tokens)) == len(pages)
    assert {i["name"] for i in result.json["deleted"]} == {"gone-a", "gone-b"}
    assert len(result.json["kept"]) == 1300
    assert len(emulator.calls("DELETE")) == 2


def test_a_page_may_be_empty(cloud):
    empty = comma({"kind": "compute#instanceAggregatedList", "nextPageToken": "2",
                   "items": {"zones/us-central1-a": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}})
    whole = comma({"kind": "compute#instanceAggregatedList", "items": {"zones/us-central1-a": {
        "instances": [{"id": "7", "name": "x", "zone": "zones/us-central1-a", "status": "RUNNING",
                       "labels": {"necoops": "managed", "necoops-until": PAST}}]}}})
    emulator = cloud(row("plain"), faults=[
        f"path=*/aggregated/instances,status=200,body={empty}",
        f"path=*/aggregated/instances,n=2,status=200,body={whole}"])
    result = emulator.run("necoops-delete", "--expired", "--yes", "--dry-run", "-o", "json")
    assert result.status == 0, result
    assert [i["name"] for i in result.json["deleted"]] == ["x"]
    assert emulator.calls("GET", "aggregated/instances")[1]["query"]["pageToken"] == "2"


@pytest.mark.parametrize("part", [
    {"unreachables": ["zones/us-central1-b"]},
    {"items": {"zones/us-central1-b": {"warning": {"code": "UNREACHABLE"}}}}])
def test_a_zone_that_does_not_answer(part, cloud):
    answer = {"kind": "compute#instanceAggregatedList", **part}
    answer["items"] = {**answer.get("items", {}), "zones/asia-northeast1-c": {"instances": [
        {"id": "7", "name": "x", "zone": "zones/asia-northeast1-c", "status": "RUNNING",
         "labels": {"necoops": "managed", "necoops-until": PAST}}]}}
    emulator = cloud(row("plain"), faults=[
        f"path=*/aggregated/instances,status=200,body={comma(answer)}"])
    result = emulator.run("necoops-delete", "--expired", "--yes", "-o", "json")
    assert result.status == 1, result
    assert "zones that could not be asked: us-central1-b; sweep again later" in result.err
    assert result.json["unreachable"] == ["us-central1-b"]
    assert [i["name"] for i in result.json["deleted"]] == ["x"], "what answered is swept"
    audit = cloud(row("plain"), faults=[
        f"path=*/aggregated/instances,status=200,body={comma(answer)}"])
    told = audit.run("necoops-delete", "--audit")
    assert told.status == 1 and "zone 'us-central1-b' could not be asked" in told.err, told


def test_a_rate_limit_passes(cloud):
    emulator = cloud(row("a", PAST), row("b", PAST), faults=[
        "method=DELETE,status=403,reason=rateLimitExceeded,retry-after=0",
        "method=DELETE,n=3,status=429,retry-after=0"])
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 0 and names(emulator) == [], result
    tried = emulator.calls("DELETE")
    assert len(tried) == 4 and len({e["query"]["requestId"] for e in tried}) == 2, \
        "a second try has the same id"


def test_many_side_by_side(cloud):
    emulator = cloud(row("old-%d", PAST, count=40), timings=("operation-pending=50ms",
                                                             "operation-running=1s"))
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 0 and names(emulator) == [], result
    kinds = ["d" if e["method"] == "DELETE" else "w" for e in emulator.log()
             if e["method"] == "DELETE" or e["path"].endswith("/wait")]
    assert kinds[:40] == ["d"] * 40, "each was asked for before the first was waited for"
    times = [datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp()
             for e in emulator.calls("DELETE")]
    assert times[-1] - times[0] > 1, "within the quota of the API"


def test_audit_looks_for_disks_everywhere(cloud):
    emulator = cloud(row("plain"))
    labels = {"necoops": "managed", "necoops-instance": "neco-ops"}
    for zone in "us-central1-f", "asia-northeast1-a":
        body = {"name": "left", "sizeGb": "10", "labels": labels}
        emulator.finish_operation(zone, emulator.api("POST", emulator.zone_url(zone, "disks"), body))
    result = emulator.run("necoops-delete", "--audit")
    assert result.status == 1, result
    assert set(result.out.splitlines()) == {"disk left in us-central1-f is there",
                                            "disk left in asia-northeast1-a is there"}


def test_made_anew_under_its_name(cloud):
    """What was listed is deleted by its id; another of the name stays."""
    emulator = cloud(row("neco-ops", PAST))
    old = emulator.instances()[0]["id"]
    faults = emulator.run("necoops-delete", "--expired", "--yes")
    assert faults.status == 0
    assert emulator.calls("DELETE")[0]["path"].endswith(f"/instances/{old}")


def test_a_label_that_is_no_time(cloud):
    emulator = cloud(row("a", "tomorrow"), row("b", "-1"), row("c", "99999999999999999999"))
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 0, result
    assert names(emulator) == ["a", "b", "c"], "what is not understood is left alone"
    assert result.out.count("is kept: it has no soft end") == 3, result


def test_interrupted(cloud):
    emulator = cloud(row("old-%d", PAST, count=3), timings=("operation-pending=50ms",
                                                            "operation-running=1h"))
    running = emulator.start("necoops-delete", "--expired", "--yes")
    running.wait_for("deleting 3 of 3 expired instances")
    running.signal(signal.SIGTERM)
    assert running.end().status == 143
