"""necoops-create against the emulator: what it asks, what it says, how it ends, what is left."""
import json
import re
import signal
import time
import uuid

import pytest

from conftest import QUICK, run_program, wait_for

ZONES = ["asia-northeast1-c", "asia-northeast1-b"]
ACCOUNT = "neco-ops@neco-test.iam.gserviceaccount.com"
# A setup that ends as the instance's metadata says, once it says something.
STEERED = """#!/bin/sh
url=http://$GCE_METADATA_HOST/computeMetadata/v1/instance/attributes/go
until go=$(curl -sf -H 'Metadata-Flavor: Google' "$url"); do sleep 0.05; done
echo "the setup was told: $go"
[ "$go" = on ]
"""


@pytest.fixture
def cloud(start_emulator):
    """An emulator in which startup scripts run."""
    return lambda *options, **kwargs: start_emulator(
        "--run-startup-scripts", *options, **{"timings": QUICK, **kwargs})


@pytest.fixture
def setup(folder):
    """Writes the team's setup script and configures it."""
    def write(text):
        (folder / "setup.sh").write_text(text)
        config = (folder / "necoops.yaml").read_text()
        if "setup:" not in config:
            (folder / "necoops.yaml").write_text(config + "  setup: setup.sh\n")
    return write


def short(entry):
    """A request as one line: method, path below the project, status."""
    path = entry["path"].replace("/compute/v1/projects/neco-test/", "")
    path = re.sub(r"operation-[0-9a-f-]+", "OPERATION", path)
    path = re.sub(r"\b\d{10,}\b", "ID", path)
    return f"{entry['method']} {path} {entry['status']}"


def compute_calls(emulator):
    """The requests to Compute Engine."""
    return [e for e in emulator.log() if e["path"].startswith("/compute/v1/")]


def inserts(emulator):
    """The requests that insert an instance."""
    return [e for e in emulator.calls("POST") if e["path"].endswith("/instances")]


def zone_of(entry):
    """The zone of a request."""
    return entry["path"].split("/zones/")[1].split("/")[0]


def deletes(emulator):
    """The requests that delete an instance."""
    return emulator.calls("DELETE", "/instances/")


def metadata_of(body):
    """A request's metadata as a mapping."""
    return {item["key"]: item["value"] for item in body["metadata"]["items"]}


def stockout(zone, count=0):
    """A fault rule: no room in a zone."""
    return f"operation=insert,zone={zone},count={count},error=ZONE_RESOURCE_POOL_EXHAUSTED"


def one_running(emulator):
    """The one instance there is."""
    left = emulator.instances()
    assert len(left) == 1, left
    assert left[0]["status"] == "RUNNING"
    return left[0]


# ---- absent, ready ----

def test_absent_is_made(cloud, setup):
    setup("#!/bin/sh\necho constructing the data centre\n")
    emulator = cloud()
    result = emulator.run("necoops-create", "--set", "instance.labels={team: neco}",
                          env={"CIRCLE_BRANCH": "Feature/X", "CIRCLE_JOB": "morning"})
    assert result.status == 0, result
    assert result.out.startswith("neco-ops is ready in asia-northeast1-c: created in "), result
    assert re.search(r"^soft end \(necoops-delete --expired\): \w{3} \d{4}-\d\d-\d\d \d\d:\d\d UTC$",
                     result.out, re.M), result
    assert "\nhard end (Compute Engine deletes it): " in result.out
    said = [line for line in result.err.splitlines() if line.startswith("necoops-create: ")]
    assert said == result.err.splitlines(), "every line names the tool"
    assert said[0] == ("necoops-create: create: creating neco-ops, n1-highmem-8 in "
                       "asia-northeast1-c")
    assert said[-1] == "necoops-create: ready: all steps done"

    asked = [short(e) for e in compute_calls(emulator)]
    assert asked[:6] == [
        "GET aggregated/instances 200",
        "GET zones/asia-northeast1-c/operations 200",
        "GET zones/asia-northeast1-b/operations 200",
        "GET global/images/family/vmx-enabled 200",
        "GET zones/asia-northeast1-c/machineTypes/n1-highmem-8 200",
        "POST zones/asia-northeast1-c/instances 200"]
    assert asked[6] == "POST zones/asia-northeast1-c/operations/OPERATION/wait 200"
    assert asked[-1] == "GET aggregated/instances 200", "it looks again"
    assert len(inserts(emulator)) == 1 and deletes(emulator) == []
    check_insert(inserts(emulator)[0])
    left = one_running(emulator)
    assert left["labels"]["necoops"] == "managed"


def check_insert(entry):
    """The request that went out, member by member."""
    assert set(entry["query"]) == {"requestId", "prettyPrint"}
    assert uuid.UUID(entry["query"]["requestId"]).int != 0
    body = dict(entry["body"])
    metadata = metadata_of(body)
    assert set(metadata) == {"enable-guest-attributes", "necoops-config", "necoops-setup",
                             "startup-script"}
    assert metadata["enable-guest-attributes"] == "TRUE"
    assert metadata["startup-script"].startswith("#!/bin/bash\n")
    assert metadata["necoops-setup"] == "#!/bin/sh\necho constructing the data centre\n"
    assert json.loads(metadata["necoops-config"])["project"] == "neco-test"
    labels, scheduling = body["labels"], body["scheduling"]
    until = int(labels.pop("necoops-until"))
    assert time.time() < until <= time.time() + 12 * 3600
    assert re.fullmatch(r"[0-9a-f]{32}", labels.pop("necoops-spec"))
    assert labels == {"necoops": "managed", "team": "neco", "necoops-ref": "feature-x",
                      "necoops-job": "morning"}
    hard = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until + 3 * 3600))
    assert scheduling == {
        "provisioningModel": "STANDARD", "automaticRestart": False,
        "onHostMaintenance": "TERMINATE", "terminationTime": hard,
        "instanceTerminationAction": "DELETE"}
    for member in ("metadata", "labels", "scheduling"):
        del body[member]
    image = body["disks"][0]["initializeParams"].pop("sourceImage")
    assert re.search(r"/projects/neco-test/global/images/vmx-enabled-\d+$", image)
    assert body == {
        "name": "neco-ops",
        "machineType": "zones/asia-northeast1-c/machineTypes/n1-highmem-8",
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": {
            "diskType": "zones/asia-northeast1-c/diskTypes/pd-ssd", "diskSizeGb": "20",
            "labels": {"necoops": "managed", "necoops-instance": "neco-ops"}}}],
        "networkInterfaces": [{"network": "global/networks/default", "accessConfigs": [
            {"name": "external-nat", "type": "ONE_TO_ONE_NAT"}]}],
        "serviceAccounts": [{"email": "default", "scopes": [
            "https://www.googleapis.com/auth/devstorage.read_only"]}],
        "advancedMachineFeatures": {"enableNestedVirtualization": True}}


UNTIL = int(time.time()) + 10 * 3600
SEEDED = {"name": "neco-ops", "zone": "asia-northeast1-b", "machineType": "n1-highmem-8",
          "labels": {"necoops": "managed", "necoops-until": str(UNTIL)},
          "metadata": {"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]}}


@pytest.fixture
def seeded(start_emulator):
    """An emulator in which there is an instance, in the second zone."""
    return lambda **members: start_emulator(timings=QUICK,
                                            seed={"instances": [{**SEEDED, **members}]})


def test_ready_is_two_requests(seeded):
    emulator = seeded()
    emulator.report_phase("ready")
    before = len(emulator.log())
    result = emulator.run("necoops-create", "-o", "json")
    assert result.status == 0 and result.err == "", result
    left = one_running(emulator)
    value = result.json
    times = value.pop("milliseconds")
    assert times["boot"] == times["setup"] == 0 and times["total"] >= 0
    assert value == {"outcome": "ready", "name": "neco-ops", "id": left["id"],
                     "zone": "asia-northeast1-b", "machineType": "n1-highmem-8",
                     "softEnd": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(UNTIL))}
    asked = [e for e in emulator.log()[before:] if e["path"] != "/token"][:2]
    assert [short(e) for e in asked] == [
        "GET aggregated/instances 200",
        "GET zones/asia-northeast1-b/instances/ID/getGuestAttributes 200"]
    assert asked[0]["query"]["filter"] == 'name="neco-ops"'
    assert asked[1]["query"]["queryPath"] == "necoops/phase"


@pytest.mark.parametrize("recreate", ["failed", "never"])
def test_ready_is_kept(recreate, seeded):
    emulator = seeded()
    emulator.report_phase("ready")
    result = emulator.run("necoops-create", "--recreate", recreate)
    assert result.status == 0, result
    assert result.out.splitlines()[0] == "neco-ops is ready in asia-northeast1-b"
    assert inserts(emulator) == [] and deletes(emulator) == []


@pytest.mark.parametrize("recreate, why", [
    ("always", "is to be made anew (--recreate always)"),
    ("changed", "was made from another specification")])
def test_ready_is_made_anew_when_asked(recreate, why, cloud):
    emulator = cloud(seed={"instances": [SEEDED]})
    before = one_running(emulator)
    emulator.report_phase("ready")
    result = emulator.run("necoops-create", "--recreate", recreate)
    assert result.status == 0, result
    assert f"neco-ops in asia-northeast1-b {why}: making it anew" in result.err
    assert [e["path"].rpartition("/")[2] for e in deletes(emulator)] == [before["id"]]
    assert one_running(emulator)["id"] != before["id"]
    assert one_running(emulator)["zone"].endswith("/asia-northeast1-c")
    if recreate == "changed":
        again = emulator.run("necoops-create", "--recreate", recreate)
        assert again.status == 0 and len(inserts(emulator)) == 1, again


def test_of_another_zone_is_not_ours(seeded):
    emulator = seeded(zone="us-central1-a")
    result = emulator.run("necoops-create", "--dry-run")
    assert result.json["plan"] == "insert this instance", result


# ---- not ready, and nobody sets it up ----

@pytest.mark.parametrize("state, why", [
    ({"status": "TERMINATED"}, "is stopped"),
    ({}, "failed in its setup")])
def test_stopped_or_failed_is_made_anew(state, why, cloud):
    emulator = cloud(seed={"instances": [{**SEEDED, **state}]})
    before = emulator.instances()[0]
    if not state:
        emulator.report_phase("failed", "setup: status 3: no space")
    refused = emulator.run("necoops-create", "--recreate", "never")
    assert refused.status == 1, refused
    assert refused.err == (f"necoops-create: error: 'neco-ops' in asia-northeast1-b {why}, and "
                           "--recreate never forbids to make it anew\n")
    assert deletes(emulator) == []
    result = emulator.run("necoops-create")
    assert result.status == 0, result
    assert f"neco-ops in asia-northeast1-b {why}: making it anew" in result.err
    assert result.out.startswith("neco-ops is ready in asia-northeast1-c: created in ")
    gone = deletes(emulator)
    assert [e["path"].rpartition("/")[2] for e in gone] == [before["id"]], "by its id"
    assert uuid.UUID(gone[0]["query"]["requestId"]).int != 0
    assert one_running(emulator)["id"] != before["id"]


def test_what_the_instance_writes_is_a_hint(seeded):
    emulator = seeded()
    emulator.write_attribute("necoops/phase", '{"phase": "rea\x07dy"')
    result = emulator.run("necoops-create", "--dry-run")
    assert result.status == 0, result
    assert result.json == {"outcome": "planned", "plan": "wait for the setup that is running"}


def test_stopped_while_it_is_set_up(cloud, setup):
    setup(STEERED)
    emulator = cloud()
    run = emulator.start("necoops-create")
    run.wait_for("setup: running the setup script")
    first = one_running(emulator)
    emulator.finish_operation("asia-northeast1-c", emulator.api("POST", emulator.zone_url(
        "asia-northeast1-c", "instances/neco-ops/stop")))
    run.wait_for("neco-ops in asia-northeast1-c is stopped: making it anew")
    run.wait_for("deleting neco-ops (" + first["id"])
    wait_until_inserted(emulator, 2)
    emulator.set_metadata(one_running(emulator), go="on")
    result = run.end()
    assert result.status == 0, result
    assert one_running(emulator)["id"] != first["id"]


def test_rebooted_while_it_is_set_up(cloud, setup):
    setup(STEERED)
    emulator = cloud()
    run = emulator.start("necoops-create")
    run.wait_for("setup: running the setup script")
    emulator.finish_operation("asia-northeast1-c", emulator.api("POST", emulator.zone_url(
        "asia-northeast1-c", "instances/neco-ops/reset")))
    run.wait_for("warning: the instance booted again while it was being set up")
    emulator.set_metadata(one_running(emulator), go="on")
    result = run.end()
    assert result.status == 0 and len(inserts(emulator)) == 1, result


def wait_until_inserted(emulator, count):
    """Waits for so many insertions, the last one done."""
    wait_for(lambda: len(inserts(emulator)) == count and
             [i["status"] for i in emulator.instances()] == ["RUNNING"])


def test_deleted_while_it_is_set_up(cloud, setup):
    setup(STEERED)
    emulator = cloud()
    run = emulator.start("necoops-create")
    run.wait_for("setup: running the setup script")
    assert emulator.run("necoops-delete", "--yes").status == 0
    result = run.end()
    assert result.status == 1, result
    assert result.err.endswith("error: 'neco-ops' was deleted while it was being set up\n"), result
    assert emulator.instances() == [] and len(inserts(emulator)) == 1


def answers(path, *values):
    """Fault rules that answer so, one after another; the last one from then on."""
    return [f"path={path},n={n},count={0 if n == len(values) else 1},status=200,body=" +
            json.dumps(value).replace(",", "\\,") for n, value in enumerate(values, 1)]


def listing(status):
    """All instances: ours, in this state."""
    return {"kind": "compute#instanceAggregatedList", "items": {"zones/asia-northeast1-c": {
        "instances": [{"id": "7", "name": "neco-ops", "zone": "zones/asia-northeast1-c",
                       "status": status}]}}}


def test_deleted_once_it_was_ready(start_emulator):
    """Somebody's deletion begins between the phase and the last look: that look is not the last then."""
    phase = json.dumps({"phase": "ready", "message": "", "time": "2026-11-23T07:00:00Z",
                        "bootId": "b"})
    attribute = {"kind": "compute#guestAttributes", "queryPath": "necoops/phase", "queryValue": {
        "items": [{"namespace": "necoops", "key": "phase", "value": phase}]}}
    instance = listing("RUNNING")["items"]["zones/asia-northeast1-c"]["instances"][0]
    emulator = start_emulator(faults=[
        *answers("*/aggregated/instances", listing("RUNNING"), listing("STOPPING"),
                 listing("RUNNING")),
        *answers("*/instances/7/getGuestAttributes", {"queryValue": {"items": []}}, attribute),
        *answers("*/instances/7", instance),
        *answers("*/instances/7/serialPort", {"contents": "", "start": "0", "next": "0"})])
    result = emulator.run("necoops-create", "-o", "json")
    assert result.status == 0 and result.json["outcome"] == "joined", result
    assert len(emulator.calls("GET", "/aggregated/instances")) == 3, "it looked once more"
    assert {e["method"] for e in compute_calls(emulator)} == {"GET"}


# ---- a setup that fails ----

FAILING = """#!/bin/sh
echo "pulling the images of the data centre"
printf 'disk \\033[31mfull\\033[0m\\n' >&2
exit 3
"""


def test_setup_fails(cloud, setup):
    setup(FAILING)
    emulator = cloud()
    result = emulator.run("necoops-create")
    assert result.status == 1 and result.out == "", result
    lines = result.err.splitlines()
    console = lines.index("necoops-create: error: the last lines of the instance's console:")
    shown = "\n".join(lines[console + 1:-3])
    assert "startup-script: pulling the images of the data centre\n" in shown, result
    assert re.search(r"startup-script: disk .*full", shown), result
    assert "\033" not in result.err, "what the instance prints must not reach the terminal raw"
    assert lines[-1].startswith("necoops-create: error: the setup of 'neco-ops' failed: "
                                "setup: status 3: disk "), result
    assert lines[-2] == ("necoops-create: the failed instance was deleted (--keep-failed keeps it)")
    assert emulator.instances() == []
    ids = [e["response"]["targetId"] for e in inserts(emulator)]
    assert [e["path"].rpartition("/")[2] for e in deletes(emulator)] == ids


def test_setup_fails_and_is_kept(cloud, setup):
    setup(FAILING)
    emulator = cloud()
    result = emulator.run("necoops-create", "--keep-failed")
    assert result.status == 1, result
    assert "the failed instance is kept; necoops-delete removes it" in result.err
    first = one_running(emulator)
    assert deletes(emulator) == []
    setup("#!/bin/sh\nexit 0\n")
    result = emulator.run("necoops-create")
    assert result.status == 0, result
    assert "neco-ops in asia-northeast1-c failed in its setup: making it anew" in result.err
    assert one_running(emulator)["id"] != first["id"]


def test_setup_without_an_end(cloud, setup):
    setup(STEERED)
    emulator = cloud(timings=("boot=1m", *QUICK[:2]))
    result = emulator.run("necoops-create", "--set", "instance.setupTimeout=1s")
    assert result.status == 6, result
    assert result.err.endswith(
        "error: timed out waiting for the setup of the instance, which has reported nothing: its "
        "image must run startup scripts (necoops-emulator does with --run-startup-scripts)\n")
    assert emulator.instances() == [], "it would cost until its hard end"


def test_timeout_leaves_what_is_made(cloud, setup):
    setup(STEERED)
    emulator = cloud()
    result = emulator.run("necoops-create", "--timeout", "4s")
    assert result.status == 6, result
    assert "timed out waiting for the setup of the instance" in result.err.splitlines()[-1]
    emulator.set_metadata(one_running(emulator), go="on")
    again = emulator.run("necoops-create")
    assert again.status == 0 and len(inserts(emulator)) == 1, again


def test_a_startup_script_that_nobody_runs(start_emulator, folder):
    """An emulator without --run-startup-scripts: it says so, and create says what is missing."""
    emulator = start_emulator("-v", timings=QUICK)
    result = emulator.run("necoops-create", "--timeout", "4s")
    assert result.status == 6, result
    assert "neco-ops is running, waiting for its startup script to report" in result.err
    assert "which has reported nothing" in result.err and "--run-startup-scripts" in result.err
    assert ("instance 'neco-ops' has a startup script, which is not run: no --run-startup-scripts"
            in (folder / "emulator.err").read_text())


# ---- others at work ----

def test_joins_a_setup_in_progress(cloud, setup):
    setup(STEERED)
    emulator = cloud()
    maker = emulator.start("necoops-create")
    maker.wait_for("setup: running the setup script")
    joiner = emulator.start("necoops-create", "-o", "json")
    joiner.wait_for("join: waiting for neco-ops in asia-northeast1-c")
    joiner.wait_for("setup: running the setup script")
    emulator.set_metadata(one_running(emulator), go="on")
    made, joined = maker.end(), joiner.end()
    assert made.status == 0 and "created in" in made.out, made
    assert joined.status == 0 and joined.json["outcome"] == "joined", joined
    assert joined.json["id"] == one_running(emulator)["id"]
    assert len(inserts(emulator)) == 1


def test_joins_a_setup_that_fails(cloud, setup):
    setup(STEERED)
    emulator = cloud()
    maker = emulator.start("necoops-create")
    maker.wait_for("setup: running the setup script")
    joiner = emulator.start("necoops-create")
    joiner.wait_for("setup: running the setup script")
    emulator.set_metadata(one_running(emulator), go="away")
    made, joined = maker.end(), joiner.end()
    assert made.status == 1 and "the setup was told: away" in made.err, made
    assert joined.status == 1, joined
    assert joined.err.splitlines()[-1].startswith(
        "necoops-create: error: the creation joined failed: ")
    assert len(inserts(emulator)) == 1 and len(deletes(emulator)) == 1, "its maker deletes it"
    assert emulator.instances() == []


def test_joins_an_insertion_in_progress(cloud):
    emulator = cloud(timings=("operation-pending=200ms", "operation-running=3s", "boot=10ms"))
    maker = emulator.start("necoops-create")
    maker.wait_for("create: creating neco-ops")
    joined = emulator.run("necoops-create")
    assert joined.status == 0 and maker.end().status == 0, joined
    assert ": joined in " in joined.out
    assert len(inserts(emulator)) == 1


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_and_run_again(number, status, cloud, setup):
    setup(STEERED)
    emulator = cloud()
    run = emulator.start("necoops-create")
    run.wait_for("setup: running the setup script")
    run.signal(number)
    result = run.end()
    assert result.status == status and result.out == "", result
    assert "interrupted" in result.err.splitlines()[-1] or "terminated" in result.err, result
    emulator.set_metadata(one_running(emulator), go="on")
    again = emulator.run("necoops-create")
    assert again.status == 0, again
    assert len(inserts(emulator)) == 1 and deletes(emulator) == [], "it joins what goes on"


def test_interrupted_while_the_operation_runs(cloud):
    emulator = cloud(timings=("operation-running=4s", *QUICK[2:]))
    run = emulator.start("necoops-create")
    wait_for(lambda: inserts(emulator))
    run.signal(signal.SIGINT)
    result = run.end()
    assert result.status == 130, result
    assert emulator.instances()[0]["status"] != "RUNNING", "its end was not waited for"
    again = emulator.run("necoops-create")
    assert again.status == 0 and len(inserts(emulator)) == 1, again
    one_running(emulator)


# ---- no room ----

def test_stockout_in_the_first_zone(cloud):
    emulator = cloud(faults=[stockout("asia-northeast1-c")])
    result = emulator.run("necoops-create")
    assert result.status == 0, result
    assert ("warning: no room for n1-highmem-8 in asia-northeast1-c: creation of instance "
            "'neco-ops' in asia-northeast1-c: ZONE_RESOURCE_POOL_EXHAUSTED: The zone "
            "'projects/neco-test/zones/asia-northeast1-c' does not have enough resources") \
        in result.err
    assert result.out.startswith("neco-ops is ready in asia-northeast1-b: created in")
    assert [zone_of(e) for e in inserts(emulator)] == ZONES
    assert one_running(emulator)["zone"].endswith("/asia-northeast1-b")


def test_stockout_that_shows_the_instance_first(cloud):
    emulator = cloud(faults=[stockout("asia-northeast1-c") + ",vanish"])
    result = emulator.run("necoops-create")
    assert result.status == 0, result
    assert one_running(emulator)["zone"].endswith("/asia-northeast1-b")


def test_stockout_on_every_rung(cloud):
    emulator = cloud(faults=["operation=insert,count=0,error=ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"])
    result = emulator.run("necoops-create", "--set", "instance.machineTypes=n1-highmem-8,n2-highmem-8")
    assert result.status == 7, result
    assert result.err.splitlines()[-1] == (
        "necoops-create: error: the cloud has no room for 'neco-ops' now (tried n1-highmem-8 in "
        "asia-northeast1-c, n1-highmem-8 in asia-northeast1-b, n2-highmem-8 in asia-northeast1-c, "
        "n2-highmem-8 in asia-northeast1-b); try again later or add to 'zones' or "
        "'instance.machineTypes'")
    assert emulator.instances() == [] and deletes(emulator) == []
    tried = inserts(emulator)
    assert [e["body"]["machineType"] for e in tried] == [
        f"zones/{zone}/machineTypes/{type}" for type in ("n1-highmem-8", "n2-highmem-8")
        for zone in ZONES]
    assert len({e["query"]["requestId"] for e in tried}) == 4, "each is a new request"
    check_rungs_in_turn(emulator)


def check_rungs_in_turn(emulator):
    """Each insertion was sent when the one before had ended."""
    ended = True
    for entry in compute_calls(emulator):
        if entry in inserts(emulator):
            assert ended, "the operation before had not ended"
            ended = False
        elif entry["path"].endswith("/wait"):
            ended = entry["response"]["status"] == "DONE"


# ---- what stops at once ----

@pytest.mark.parametrize("rule, words", [
    ("operation=insert,error=QUOTA_EXCEEDED",
     "creation of instance 'neco-ops' in asia-northeast1-c: QUOTA_EXCEEDED: Quota 'CPUS' exceeded. "
     " Limit: 24.0 in region asia-northeast1.; free something, or ask for more quota"),
    ("method=POST,path=*/instances,count=0,status=403,reason=quotaExceeded,"
     "message=Quota 'CPUS' exceeded.",
     "instance 'neco-ops' in zone 'asia-northeast1-c': the quota is used up: "
     "Quota 'CPUS' exceeded."),
])
def test_quota(rule, words, cloud):
    emulator = cloud(faults=[rule])
    result = emulator.run("necoops-create")
    assert result.status == 7, result
    assert words in result.err.splitlines()[-1], result
    assert len(inserts(emulator)) == 1, "another zone does not help"
    assert emulator.instances() == []


@pytest.mark.parametrize("rule, words, tried", [
    ("path=*/aggregated/instances,count=0,status=429,retry-after=600",
     "instances of project 'neco-test': too many requests: ", 0),
    ("method=POST,path=*/instances,count=0,status=403,reason=rateLimitExceeded,retry-after=600,"
     "message=Rate Limit Exceeded",
     "instance 'neco-ops' in zone 'asia-northeast1-c': too many requests: Rate Limit Exceeded", 1),
    ("operation=insert,count=0,error=RATE_LIMIT_EXCEEDED,message=Slow down",
     "creation of instance 'neco-ops' in asia-northeast1-c: RATE_LIMIT_EXCEEDED: Slow down", 1)])
def test_a_rate_limit_that_lasts(rule, words, tried, cloud):
    """The service asks for more patience than there is."""
    emulator = cloud(faults=[rule])
    result = emulator.run("necoops-create")
    assert result.status == 7, result
    assert words in result.err.splitlines()[-1], result
    assert len(inserts(emulator)) == tried, "another zone does not help"
    status, left = emulator.api("GET", emulator.zone_url(ZONES[0], "instances"))
    assert status == 200 and "items" not in left


def test_permission(cloud):
    emulator = cloud(seed={"accounts": {"default": {"deny": ["compute.instances.create"]}}})
    result = emulator.run("necoops-create")
    assert result.status == 4, result
    last = result.err.splitlines()[-1]
    assert last.startswith("necoops-create: error: instance 'neco-ops' in zone 'asia-northeast1-c': "
                           f"permission 'compute.instances.create' is denied to {ACCOUNT}: "), result
    assert last.endswith("; grant a role that has it")
    assert len(inserts(emulator)) == 1 and emulator.instances() == []


@pytest.mark.parametrize("permission", ["compute.instances.list", "compute.images.getFromFamily"])
def test_permission_to_look(permission, cloud):
    emulator = cloud(seed={"accounts": {"default": {"deny": [permission]}}})
    result = emulator.run("necoops-create")
    assert result.status == 4, result
    assert f"permission '{permission}' is denied to {ACCOUNT}" in result.err
    assert inserts(emulator) == []


def test_permission_in_the_operation(cloud):
    emulator = cloud(faults=["operation=insert,error=PERMISSIONS_ERROR,message=Required "
                             "'compute.subnetworks.use' permission"])
    result = emulator.run("necoops-create")
    assert result.status == 4 and "'compute.subnetworks.use'" in result.err, result
    assert len(inserts(emulator)) == 1


def test_credential_that_is_refused(cloud):
    emulator = cloud()
    result = emulator.run("necoops-create", env={"GOOGLE_OAUTH_ACCESS_TOKEN": "of-yesterday"})
    assert result.status == 4, result
    assert "the token in GOOGLE_OAUTH_ACCESS_TOKEN" in result.err
    assert "of-yesterday" not in result.err


@pytest.mark.parametrize("sets, words", [
    (["instance.image.family=no-such"],
     "there is no image of family 'no-such' in project 'neco-test'; see instance.image in the "
     "configuration"),
    (["instance.image.name=no-such"],
     "there is no image 'no-such' in project 'neco-test'; see instance.image in the configuration"),
    (["instance.machineTypes=n1-highmem-7"],
     "there is no machine type 'n1-highmem-7' in zone 'asia-northeast1-c'; see "
     "instance.machineTypes and zones in the configuration"),
    (["zones=asia-northeast9-x"],
     "there is no zone 'asia-northeast9-x'; see zones in the configuration"),
    (["zones=asia-northeast1-c,asia-northeast9-x"],
     "there is no zone 'asia-northeast9-x'; see zones in the configuration"),
])
@pytest.mark.parametrize("plan", [[], ["--dry-run"]])
def test_missing_in_the_cloud(sets, words, plan, cloud):
    emulator = cloud()
    result = emulator.run("necoops-create", *plan, *[w for s in sets for w in ("--set", s)])
    assert result.status == 2 and result.out == "", result
    assert result.err.splitlines()[-1] == f"necoops-create: error: {words}", result
    assert inserts(emulator) == [], "nothing was paid for"


@pytest.mark.parametrize("sets, words", [
    (["instance.minCpuPlatform=Intel Pentium"], "Intel Pentium"),
    (["instance.bootDisk.sizeGb=1"], "disk size"),
    (["instance.bootDisk.type=floppy"], "floppy"),
])
def test_bad_request(sets, words, cloud):
    emulator = cloud()
    result = emulator.run("necoops-create", *[w for s in sets for w in ("--set", s)])
    assert result.status == 2, result
    last = result.err.splitlines()[-1]
    assert "instance 'neco-ops' in zone 'asia-northeast1-c': the request is invalid: " in last, result
    assert words in last, result
    assert len(inserts(emulator)) == 1 and emulator.instances() == []


# ---- a cloud that stumbles ----

@pytest.mark.parametrize("rule", [
    "method=POST,path=*/instances,status=503,retry-after=0",
    "method=POST,path=*/instances,status=503,retry-after=0,after",
    "method=POST,path=*/instances,reset,after",
])
def test_insertion_is_tried_again_with_its_id(rule, cloud):
    emulator = cloud(faults=[rule])
    result = emulator.run("necoops-create")
    assert result.status == 0, result
    tried = inserts(emulator)
    assert len(tried) == 2 and len({e["query"]["requestId"] for e in tried}) == 1
    one_running(emulator)


def test_lookups_are_tried_again(cloud):
    emulator = cloud(faults=["method=POST,path=*/wait,status=503,retry-after=0",
                             "method=POST,path=*/wait,n=2,reset",
                             "path=*/aggregated/instances,html=502",
                             "path=*/serialPort,status=429,retry-after=0",
                             "path=/token,status=500"])
    result = emulator.run("necoops-create")
    assert result.status == 0, result
    assert len([e for e in emulator.log() if "fault" in e]) == 5
    assert len(inserts(emulator)) == 1
    one_running(emulator)


def test_zone_that_cannot_be_asked(cloud):
    body = json.dumps({"kind": "compute#instanceAggregatedList", "items": {},
                       "unreachables": ["zones/asia-northeast1-b"]}).replace(",", "\\,")
    emulator = cloud(faults=[f"path=*/aggregated/instances,count=0,status=200,body={body}"])
    result = emulator.run("necoops-create")
    assert result.status == 1, result
    assert "zone 'asia-northeast1-b' cannot be asked now" in result.err
    assert inserts(emulator) == [], "an instance may be there"


# ---- plans and schedules ----

def test_dry_run(cloud):
    emulator = cloud()
    result = emulator.run("necoops-create", "--dry-run")
    assert result.status == 0, result
    assert result.json["outcome"] == "planned"
    assert result.json["plan"] == "insert this instance"
    request = result.json["request"]
    assert request["machineType"] == "zones/asia-northeast1-c/machineTypes/n1-highmem-8"
    assert metadata_of(request)["enable-guest-attributes"] == "TRUE"
    assert [short(e) for e in compute_calls(emulator)] == [
        "GET aggregated/instances 200", "GET global/images/family/vmx-enabled 200",
        *[f"GET zones/{zone}/machineTypes/n1-highmem-8 200" for zone in ZONES]]
    assert emulator.instances() == []


def test_dry_run_looks_at_every_rung(cloud):
    emulator = cloud()
    result = emulator.run("necoops-create", "--dry-run", "--set",
                          "instance.machineTypes=n1-highmem-8,n1-highmem-7")
    assert result.status == 2 and result.out == "", result
    assert "there is no machine type 'n1-highmem-7' in zone 'asia-northeast1-c'" in result.err


def scheduled(folder, schedule):
    """Runs with a schedule, without any endpoint."""
    (folder / "necoops.yaml").write_text((folder / "necoops.yaml").read_text() +
                                         f"schedule: {json.dumps(schedule)}\n")
    return run_program("necoops-create", "--scheduled", cwd=folder,
                       env={"GOOGLE_OAUTH_ACCESS_TOKEN": "t",
                            "NECOOPS_COMPUTE_ENDPOINT": "ftp://nowhere"})


EVERY_DAY = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def around_midnight():
    """Today and tomorrow, so that a test may run at any time of the day."""
    now = time.time()
    return [time.strftime("%Y-%m-%d", time.gmtime(now + days * 86400)) for days in (0, 1)]


def test_scheduled_outside(folder):
    result = scheduled(folder, {"up": "07:30", "days": EVERY_DAY, "holidays": around_midnight()})
    assert result.status == 0 and result.err == "", result
    assert re.fullmatch(r"nothing to make: the schedule has it down until \w{3} \d{4}-\d\d-\d\d "
                        r"07:30 UTC\n", result.out), result


def test_scheduled_inside(folder):
    result = scheduled(folder, {"up": "00:00", "days": EVERY_DAY})
    assert result.status == 2 and "ftp://nowhere" in result.err, result


def test_scheduled_without_a_schedule(folder):
    result = run_program("necoops-create", "--scheduled", cwd=folder)
    assert result.status == 2 and "'schedule.up' is not set" in result.err, result


# ---- what is printed ----

def test_no_secret_is_printed(seeded):
    emulator = seeded()
    emulator.report_phase("ready")
    result = emulator.run("necoops-create", "-vv")
    assert result.status == 0, result
    assert "Authorization: [redacted]" in result.err and '"access_token":[redacted]' in result.err
    assert "assertion=[redacted]" in result.err
    key = json.loads(emulator.credentials.read_text())["private_key"].splitlines()[1]
    assert key not in result.err
    token = emulator.token()
    result = emulator.run("necoops-create", "-vv", env={"GOOGLE_OAUTH_ACCESS_TOKEN": token})
    assert result.status == 0 and token not in result.err and token not in result.out


def test_quiet_and_json_messages(cloud):
    emulator = cloud(faults=[stockout("asia-northeast1-c")])
    result = emulator.run("necoops-create", "-q", "--log-format", "json")
    assert result.status == 0, result
    lines = [json.loads(line) for line in result.err.splitlines()]
    assert [(line["level"], line["tool"]) for line in lines] == [("warning", "necoops-create")]
    assert lines[0]["message"].startswith("no room for n1-highmem-8 in asia-northeast1-c")
