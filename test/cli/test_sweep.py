"""necoops-delete --expired, --audit, --extend: what forgotten runs left behind."""
import re
import time
import uuid

import pytest

from conftest import QUICK

PAST, FUTURE = str(int(time.time()) - 60), str(int(time.time()) + 7200)
OURS = {"machineType": "n1-highmem-8", "zone": "asia-northeast1-c"}


def row(name, until=None, **members):
    """An instance of the seed; with a soft end, it is ours."""
    labels = {**members.pop("labels", {})}
    if until:
        labels.update({"necoops": "managed", "necoops-until": until})
    return {**OURS, "name": name, "labels": labels, **members}


ROWS = [row("neco-ops", PAST), row("neco-ops-2", PAST, zone="us-central1-a", status="TERMINATED"),
        row("neco-ops-3", PAST, zone="us-central1-f", labels={"keep": "yes"}),
        row("test-4", PAST), row("neco-ops-5", FUTURE), row("no-end", labels={"necoops": "managed"}),
        row("of-people", labels={"necoops-until": PAST}), row("plain")]


@pytest.fixture
def cloud(start_emulator):
    """An emulator with these instances."""
    return lambda *rows, **kwargs: start_emulator(
        **{"timings": QUICK, "seed": {"instances": list(rows or ROWS)}, **kwargs})


def names(emulator):
    """Names of all instances."""
    return sorted(i["name"] for i in emulator.instances())


def test_expired(cloud):
    emulator = cloud()
    ids = {i["name"]: i["id"] for i in emulator.instances()}
    result = emulator.run("necoops-delete", "--expired", "--yes", "--exclude", "test-*",
                          "--exclude-label", "keep=yes")
    assert result.status == 0, result
    assert set(result.out.splitlines()) == {
        "instance neco-ops in asia-northeast1-c is deleted",
        "instance neco-ops-2 in us-central1-a is deleted",
        "instance neco-ops-3 in us-central1-f is kept: excluded by the label 'keep=yes'",
        "instance test-4 in asia-northeast1-c is kept: excluded by the name pattern 'test-*'",
        "instance neco-ops-5 in asia-northeast1-c is kept: its soft end has not come",
        "instance no-end in asia-northeast1-c is kept: it has no soft end"}
    assert names(emulator) == ["neco-ops-3", "neco-ops-5", "no-end", "of-people", "plain", "test-4"]
    asked = emulator.calls("DELETE")
    assert {e["path"].rpartition("/")[2] for e in asked} == {ids["neco-ops"], ids["neco-ops-2"]}
    assert len({uuid.UUID(e["query"]["requestId"]) for e in asked}) == 2
    listed = [e for e in emulator.calls("GET", "aggregated/instances") if "fields" in e["query"]][0]
    assert listed["query"]["filter"] == "labels.necoops=managed"
    assert "metadata" not in listed["query"]["fields"], "only what is needed"


def test_expired_wants_a_yes(cloud):
    emulator = cloud()
    result = emulator.run("necoops-delete", "--expired")
    assert result.status == 2 and "give --yes to go on" in result.err, result
    result = emulator.run("necoops-delete", "--expired", "--dry-run", "-o", "json")
    assert result.status == 0, result
    assert {i["name"] for i in result.json["deleted"]} == {
        "neco-ops", "neco-ops-2", "neco-ops-3", "test-4"}
    assert result.json["dryRun"] is True and len(names(emulator)) == len(ROWS)
    assert emulator.calls("DELETE") == []


def test_expired_tells_what_failed(cloud):
    emulator = cloud(row("a", PAST, deletionProtection=True), row("b", PAST))
    result = emulator.run("necoops-delete", "--expired", "--yes")
    assert result.status == 1, result
    assert "1 of 2 expired instances could not be deleted" in result.err
    assert "protected against deletion" in result.out and names(emulator) == ["a"]


def test_nothing_is_expired(cloud):
    emulator = cloud(row("neco-ops", FUTURE))
    result = emulator.run("necoops-delete", "--expired", "--yes", "-q")
    assert result.status == 0, result
    assert "no instance is past its soft end\n" in result.out and names(emulator) == ["neco-ops"]


def test_audit(cloud):
    emulator = cloud()
    result = emulator.run("necoops-delete", "--audit")
    assert result.status == 1, result
    assert "instance neco-ops-2 in us-central1-a is there" in result.out.splitlines()
    assert "of-people" not in result.out and "plain" not in result.out
    assert re.search(r"error: 6 of ours are left over: ", result.err), result
    result = cloud(row("plain")).run("necoops-delete", "--audit")
    assert (result.status, result.out) == (0, "nothing of ours is left\n"), result


def test_extend(cloud):
    hard = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(FUTURE) + 3 * 3600))
    emulator = cloud(row("neco-ops", FUTURE, labels={"team": "neco"}, scheduling={
        "terminationTime": hard, "instanceTerminationAction": "DELETE"}))
    result = emulator.run("necoops-delete", "--extend", "2h", "-o", "json")
    assert result.status == 0 and result.json["bounded"] is False, result
    moved = str(int(FUTURE) + 7200)
    assert emulator.instances()[0]["labels"] == {
        "team": "neco", "necoops": "managed", "necoops-until": moved}
    result = emulator.run("necoops-delete", "--extend", "2h")
    assert result.status == 0 and "the hard end bounds it" in result.err, result
    assert emulator.instances()[0]["labels"]["necoops-until"] == str(int(FUTURE) + 3 * 3600)
    sent = emulator.calls("POST", "/setLabels")[0]
    assert set(sent["body"]) == {"labels", "labelFingerprint"}
    assert uuid.UUID(sent["query"]["requestId"]).int != 0


def test_extend_while_another_changes_labels(cloud):
    emulator = cloud(row("neco-ops", FUTURE), faults=[
        "method=POST,path=*/setLabels,status=412",
        "operation=setLabels,n=1,error=CONDITION_NOT_MET,"
        "message=Labels fingerprint either invalid or resource labels have changed"])
    result = emulator.run("necoops-delete", "--extend", "30m")
    assert result.status == 0, result
    assert emulator.instances()[0]["labels"]["necoops-until"] == str(int(FUTURE) + 1800)
    assert len(emulator.calls("POST", "/setLabels")) == 3


def test_extend_nothing(cloud):
    result = cloud(row("plain")).run("necoops-delete", "--extend", "1h")
    assert result.status == 3, result
    assert "there is no instance 'neco-ops' to extend" in result.err


@pytest.mark.parametrize("argv, words", [
    (["--expired", "--audit"], "--expired, --audit and --extend exclude each other"),
    (["--exclude", "x", "--yes"], "--exclude and --exclude-label go with --expired"),
    (["--extend", "much"], "option '--extend': "),
    (["--extend", "0s"], "option '--extend': '0s' is too short: it wants at least 1.0s")])
def test_wrong_use(argv, words, cloud):
    result = cloud().run("necoops-delete", *argv)
    assert result.status == 2 and words in result.err, result
