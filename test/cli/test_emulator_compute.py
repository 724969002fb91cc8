"""The emulator's token endpoint, Compute Engine and metadata server, by calls written from the
services' own documentation."""
import base64
import concurrent.futures
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

from conftest import PATIENCE, run_program, wait_for

ZONE = "/compute/v1/projects/neco-test/zones/asia-northeast1-c"


@pytest.fixture(name="emulator")
def one_emulator(start_emulator):
    """One without anything special."""
    return start_emulator()


def body(name="neco-ops", **extra):
    """The least an instance needs."""
    value = {"name": name, "machineType": "zones/asia-northeast1-c/machineTypes/n1-highmem-8",
             "disks": [{"boot": True, "autoDelete": True, "initializeParams": {
                 "sourceImage": "projects/neco-test/global/images/family/vmx-enabled"}}],
             "networkInterfaces": [{"network": "global/networks/default"}]}
    value.update(extra)
    return value


def done(emulator, operation):
    """Polls an operation to its end, and what was seen on the way."""
    path = urllib.parse.urlsplit(operation["selfLink"]).path
    seen = [operation["status"]]
    while operation["status"] != "DONE":
        time.sleep(0.01)
        status, operation = emulator.api("GET", path)
        assert status == 200, operation
        seen.append(operation["status"])
    return operation, seen


def change(emulator, method, path, value=None):
    """A call that starts an operation, and its end."""
    status, operation = emulator.api(method, path, value)
    assert status == 200, operation
    return done(emulator, operation)[0]


def create(emulator, **extra):
    operation = change(emulator, "POST", ZONE + "/instances", body(**extra))
    assert "error" not in operation, operation
    return emulator.api("GET", f"{ZONE}/instances/{extra.get('name', 'neco-ops')}")[1]


def refused(answer, status, reason, text):
    """Checks an error envelope."""
    assert answer[0] == status, answer
    error = answer[1]["error"]
    assert error["code"] == status
    assert error["errors"][0]["reason"] == reason
    assert text in error["message"], error["message"]
    assert error["errors"][0]["message"] == error["message"]


class Metadata:
    """The metadata server of an instance."""

    def __init__(self, emulator, name="neco-ops"):
        host = wait_for(
            lambda: emulator.api("GET", f"/emulator/instances/{name}")[1].get("metadataHost"))
        self.url = f"http://{host}"

    def call(self, path, method="GET", data=None, headers=None):
        """(status, headers, text)"""
        request = urllib.request.Request(self.url + path, method=method, data=data)
        for name, value in (headers or {"Metadata-Flavor": "Google"}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def get(self, path):
        return self.call("/computeMetadata/v1/" + path)

    def put(self, key, value):
        return self.call(f"/computeMetadata/v1/instance/guest-attributes/{key}", "PUT",
                         value.encode())


# ---- tokens ----

def raw(emulator, method, path, headers=None, data=None):
    request = urllib.request.Request(emulator.url + path, method=method, data=data)
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else text.decode()


def test_only_tokens_of_this_run_are_taken(emulator):
    path = ZONE + "/instances"
    refused(raw(emulator, "GET", path), 401, "required", "missing required authentication")
    for token in ("ya29.c.other", ""):
        answer = raw(emulator, "GET", path, {"Authorization": f"Bearer {token}"})
        refused(answer, 401, "authError", "invalid authentication credentials")
    answer = raw(emulator, "GET", path, {"Authorization": f"Bearer {emulator.token()}"})
    assert answer[0] == 200


def test_a_forged_assertion_is_refused(emulator):
    emulator.token()  # leaves key.pem
    key = json.loads(emulator.credentials.read_text())

    def b64(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    claims = {"iss": key["client_email"], "scope": "x", "iat": now, "exp": now + 3600,
              "aud": "https://oauth2.googleapis.com/token"}
    token = f"{b64({'alg': 'RS256', 'typ': 'JWT'})}.{b64(claims)}.{'A' * 342}"
    form = urllib.parse.urlencode({"assertion": token, "grant_type":
                                   "urn:ietf:params:oauth:grant-type:jwt-bearer"}).encode()
    status, value = raw(emulator, "POST", "/token", data=form)
    assert (status, value) == (400, {"error": "invalid_grant",
                                     "error_description": "Invalid JWT Signature."})
    none = f"{b64({'alg': 'none'})}.{b64(claims)}."
    form = urllib.parse.urlencode({"assertion": none, "grant_type":
                                   "urn:ietf:params:oauth:grant-type:jwt-bearer"}).encode()
    assert raw(emulator, "POST", "/token", data=form)[1]["error"] == "invalid_grant"


def test_a_web_page_gets_nowhere(emulator):
    auth = {"Authorization": f"Bearer {emulator.token()}"}
    assert raw(emulator, "GET", ZONE, {**auth, "Origin": "http://evil.example"})[0] == 403
    assert raw(emulator, "GET", ZONE, {**auth, "Host": "evil.example"})[0] == 403
    answer = raw(emulator, "POST", ZONE + "/instances", {**auth, "Content-Type": "text/plain"},
                 json.dumps(body()).encode())
    refused(answer, 415, "unsupportedMediaType", "text/plain")
    assert emulator.instances() == []


# ---- instances ----

# Long enough for a second request to come while the operation of the first is in that state.
SEEN = ("operation-pending=700ms", "operation-running=700ms")


def test_an_instance_from_insert_to_delete(start_emulator):
    emulator = start_emulator(timings=SEEN)
    status, operation = emulator.api("POST", ZONE + "/instances", body(labels={"team": "neco"}))
    assert status == 200 and operation["status"] == "PENDING"
    assert emulator.api("GET", ZONE + "/instances/neco-ops")[1]["status"] == "PROVISIONING"
    operation, seen = done(emulator, operation)
    assert [s for i, s in enumerate(seen) if i == 0 or s != seen[i - 1]] == \
        ["PENDING", "RUNNING", "DONE"]
    assert operation["progress"] == 100 and "error" not in operation
    instance = emulator.api("GET", ZONE + "/instances/neco-ops")[1]
    assert instance["status"] == "RUNNING"
    assert instance["id"] == operation["targetId"] and instance["id"].isdigit()
    assert instance["selfLink"].startswith("https://www.googleapis.com/compute/v1/projects/")
    assert emulator.api("GET", ZONE + "/instances/" + instance["id"])[1] == instance
    assert emulator.api("GET", ZONE + "/disks/neco-ops")[1]["users"] == [instance["selfLink"]]
    assert "error" not in change(emulator, "DELETE", f"{ZONE}/instances/{instance['id']}")
    refused(emulator.api("GET", ZONE + "/instances/neco-ops"), 404, "notFound",
            "The resource 'projects/neco-test/zones/asia-northeast1-c/instances/neco-ops' was not")
    refused(emulator.api("GET", ZONE + "/disks/neco-ops"), 404, "notFound", "disks/neco-ops")
    refused(emulator.api("DELETE", f"{ZONE}/instances/{instance['id']}"), 404, "notFound", "")


def test_a_disk_that_stays(emulator):
    disks = body()["disks"]
    disks[0]["autoDelete"] = False
    instance = create(emulator, disks=disks)
    refused(emulator.api("DELETE", ZONE + "/disks/neco-ops"), 400,
            "resourceInUseByAnotherResource", "is already being used by")
    change(emulator, "DELETE", f"{ZONE}/instances/{instance['id']}")
    assert "users" not in emulator.api("GET", ZONE + "/disks/neco-ops")[1]
    change(emulator, "DELETE", ZONE + "/disks/neco-ops")
    assert emulator.api("GET", ZONE + "/disks/neco-ops")[0] == 404


def test_a_request_id_makes_one(emulator):
    one = str(uuid.uuid4())
    first = emulator.api("POST", f"{ZONE}/instances?requestId={one}", body())[1]
    second = emulator.api("POST", f"{ZONE}/instances?requestId={one}", body())[1]
    assert first["name"] == second["name"] and first["clientOperationId"] == one
    refused(emulator.api("POST", f"{ZONE}/instances?requestId={uuid.uuid4()}", body()), 409,
            "alreadyExists", "already exists")
    refused(emulator.api("POST", f"{ZONE}/instances?requestId=1", body("b")), 400, "invalid",
            "requestId")
    zero = "00000000-0000-0000-0000-000000000000"
    refused(emulator.api("POST", f"{ZONE}/instances?requestId={zero}", body("b")), 400, "invalid",
            "requestId")
    done(emulator, first)
    assert len(emulator.instances()) == 1


def test_an_instance_that_changes_is_not_ready(start_emulator):
    emulator = start_emulator(timings=SEEN)
    operation = emulator.api("POST", ZONE + "/instances", body())[1]
    refused(emulator.api("DELETE", ZONE + "/instances/neco-ops"), 400, "resourceNotReady",
            "is not ready")
    done(emulator, operation)
    assert emulator.api("DELETE", ZONE + "/instances/neco-ops")[0] == 200
    refused(emulator.api("DELETE", ZONE + "/instances/neco-ops"), 400, "resourceNotReady",
            "is not ready")


SSD = {"type": "SCRATCH", "initializeParams":
       {"diskType": "zones/asia-northeast1-c/diskTypes/local-ssd"}}


@pytest.mark.parametrize("extra,status,reason,text", [
    ({"name": "Neco"}, 400, "invalid", "Must be a match of regex"),
    ({"machineType": "zones/asia-northeast1-c/machineTypes/n1-nope-8"}, 400, "invalid",
     "Machine type with name 'n1-nope-8' does not exist in zone 'asia-northeast1-c'."),
    ({"machineType": "zones/asia-northeast1-b/machineTypes/n1-highmem-8"}, 400, "invalid",
     "names another zone"),
    ({"disks": [{"boot": True, "initializeParams": {
        "sourceImage": "projects/neco-test/global/images/nope"}}]}, 400, "invalid",
     "The referenced image resource cannot be found."),
    ({"disks": []}, 400, "required", "No disks are specified"),
    ({"disks": body()["disks"] + [SSD] * 9}, 400, "badRequest",
     "should be one of [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 24], while [9] is requested"),
    ({"machineType": "zones/asia-northeast1-c/machineTypes/e2-standard-4",
      "advancedMachineFeatures": {"enableNestedVirtualization": True}}, 400, "invalid",
     "Nested virtualization is not supported"),
    ({"minCpuPlatform": "AMD Milan"}, 400, "invalid", "CPU platform is not available"),
    ({"labels": {"Team": "x"}}, 400, "invalid", "Label key 'Team' violates format constraints"),
    ({"labels": {"team": "A"}}, 400, "invalid", "Label value 'A' violates format constraints"),
    ({"metadata": {"items": [{"key": "a b", "value": ""}]}}, 400, "invalid", "resource.metadata"),
    ({"metadata": {"items": [{"key": "k", "value": "x" * 262145}]}}, 413, "fieldSizeTooLarge",
     "maximum size 262144 character(s); actual size 262145"),
    ({"metadata": {"items": [{"key": f"k{i}", "value": "x" * 200000} for i in range(3)]}}, 413,
     "fieldSizeTooLarge", "'resource.metadata' is too large"),
    ({"scheduling": {"terminationTime": "2099-01-01T00:00:00Z", "maxRunDuration": {"seconds": 60},
                     "instanceTerminationAction": "DELETE"}}, 400, "invalid", "Only one of"),
    ({"scheduling": {"terminationTime": "2020-01-01T00:00:00Z",
                     "instanceTerminationAction": "DELETE"}}, 400, "invalid", "in the future"),
    ({"scheduling": {"maxRunDuration": {"seconds": "60"}}}, 400, "invalid",
     "instanceTerminationAction must be specified"),
    ({"scheduling": {"provisioningModel": "SPOT", "automaticRestart": True}}, 400, "invalid",
     "AutomaticRestart"),
    ({"unknownField": 1}, 400, "invalid", 'Unknown name "unknownField"'),
])
def test_a_wrong_instance_is_refused(emulator, extra, status, reason, text):
    refused(emulator.api("POST", ZONE + "/instances", {**body(), **extra}), status, reason, text)
    assert emulator.instances() == []


def test_unknown_places(emulator):
    nowhere = "/compute/v1/projects/neco-test/zones/nowhere-a"
    refused(emulator.api("GET", nowhere), 404, "notFound", "projects/neco-test/zones/nowhere-a")
    refused(emulator.api("POST", nowhere + "/instances", body()), 400, "invalid", "Unknown zone.")
    refused(emulator.api("GET", "/compute/v1/projects/other/zones"), 404, "notFound",
            "projects/other")


def test_fingerprints_guard_metadata_and_labels(start_emulator):
    emulator = start_emulator(timings=SEEN)
    instance = create(emulator, labels={"a": "1"})
    path = ZONE + "/instances/neco-ops"
    stale = {"fingerprint": "AAAAAAAAAAA=", "items": []}
    refused(emulator.api("POST", path + "/setMetadata", stale), 412, "conditionNotMet",
            "metadata fingerprint")
    items = [{"key": "k", "value": "v"}]
    fresh = {"fingerprint": instance["metadata"]["fingerprint"], "items": items}
    # two writers with one fingerprint: both are accepted, the second fails when it runs
    first = emulator.api("POST", path + "/setMetadata", fresh)[1]
    second = emulator.api("POST", path + "/setMetadata", {**fresh, "items": []})[1]
    assert "error" not in done(emulator, first)[0]
    failed = done(emulator, second)[0]
    assert failed["error"]["errors"][0]["code"] == "CONDITION_NOT_MET"
    assert failed["httpErrorStatusCode"] == 412
    assert emulator.api("GET", path)[1]["metadata"]["items"] == items
    refused(emulator.api("POST", path + "/setLabels", {"labels": {"a": "2"}}), 412,
            "conditionNotMet", "Labels fingerprint")
    labels = {"labelFingerprint": instance["labelFingerprint"], "labels": {"a": "2"}}
    change(emulator, "POST", path + "/setLabels", labels)
    after = emulator.api("GET", path)[1]
    assert after["labels"] == {"a": "2"}
    assert after["labelFingerprint"] != instance["labelFingerprint"]


def test_stop_and_start_and_scheduling(emulator):
    create(emulator)
    path = ZONE + "/instances/neco-ops"
    wanted = {"maxRunDuration": {"seconds": "3600"}, "instanceTerminationAction": "DELETE"}
    refused(emulator.api("POST", path + "/setScheduling", wanted), 400, "invalid", "be stopped")
    change(emulator, "POST", path + "/stop")
    stopped = emulator.api("GET", path)[1]
    assert stopped["status"] == "TERMINATED" and "lastStopTimestamp" in stopped
    change(emulator, "POST", path + "/setScheduling", wanted)
    change(emulator, "POST", path + "/start")
    started = emulator.api("GET", path)[1]
    assert started["status"] == "RUNNING"
    assert started["scheduling"]["maxRunDuration"] == {"seconds": "3600"}
    assert "terminationTimestamp" in started["resourceStatus"]["scheduling"]


def test_the_hard_end_is_the_end(emulator):
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    create(emulator, scheduling={"terminationTime": when, "instanceTerminationAction": "DELETE"})
    wait_for(lambda: not emulator.instances())
    operations = emulator.api("GET", ZONE + "/operations?filter=operationType%3Ddelete")[1]
    assert [o["user"] for o in operations["items"]] == ["system"]


def test_one_wait_in_five_returns_early(start_emulator):
    emulator = start_emulator(timings=["operation-running=2s"])
    operations = [emulator.api("POST", ZONE + "/instances", body(f"vm-{i}"))[1] for i in range(5)]
    paths = [urllib.parse.urlsplit(o["selfLink"]).path + "/wait" for o in operations]
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        states = list(pool.map(lambda path: emulator.api("POST", path)[1]["status"], paths))
    assert sorted(states)[:4] == ["DONE"] * 4 and len(set(states)) == 2, states


def test_wait_ends_at_its_deadline(start_emulator):
    emulator = start_emulator(timings=["operation-running=1h", "operation-wait=300ms"])
    operation = emulator.api("POST", ZONE + "/instances", body())[1]
    path = urllib.parse.urlsplit(operation["selfLink"]).path + "/wait"
    began = time.time()
    assert emulator.api("POST", path)[1]["status"] != "DONE"
    assert time.time() - began > 0.25


# ---- lists ----

def test_pages_filters_and_fields(start_emulator):
    emulator = start_emulator(seed={"instances": [
        {"name": "load-%d", "count": 1203, "zone": "asia-northeast1-c", "labels": {"team": "neco"},
         "metadata": {"items": [{"key": "startup-script", "value": "x" * 8192}]}},
        {"name": "other", "zone": "asia-northeast1-b", "labels": {"team": "dev"}}]})

    def pages(**query):
        token, found = None, []
        while True:
            query.update({"pageToken": token} if token else {})
            status, value = emulator.api(
                "GET", "/compute/v1/projects/neco-test/aggregated/instances?" +
                urllib.parse.urlencode(query))
            assert status == 200, value
            found.append([i for s in value["items"].values() for i in s.get("instances", [])])
            token = value.get("nextPageToken")
            if not token:
                return found

    everything = pages()
    assert [len(p) for p in everything] == [500, 500, 204]
    assert len({i["id"] for p in everything for i in p}) == 1204
    some = pages(filter="labels.team=neco", maxResults=400,
                 fields="items/*/instances(name,labels),nextPageToken")
    assert [len(p) for p in some] == [400, 400, 400, 3]
    assert set(some[0][0]) == {"name", "labels"}
    assert [i["name"] for p in pages(filter="labels.team:* AND name=other") for i in p] == ["other"]
    path = ZONE + "/instances?filter="
    refused(emulator.api("GET", path + "nonsense"), 400, "invalid",
            "Invalid list filter expression.")
    refused(emulator.api("GET", ZONE + "/instances?maxResults=501"), 400, "invalid", "maxResults")
    refused(emulator.api("GET", ZONE + "/instances?fields=a("), 400, "invalidParameter",
            "Invalid field selection a(")
    status, value = emulator.api("GET", "/compute/v1/projects/neco-test/aggregated/instances")
    assert value["items"]["zones/us-central1-a"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"


def test_images_and_machine_types(start_emulator):
    emulator = start_emulator(seed={
        "images": [{"name": "base-1", "family": "base", "creationTimestamp": "2026-01-01T00:00:00Z"},
                   {"name": "base-2", "family": "base", "creationTimestamp": "2026-02-01T00:00:00Z"},
                   {"name": "base-3", "family": "base", "creationTimestamp": "2026-03-01T00:00:00Z",
                    "deprecated": True}]})
    images = "/compute/v1/projects/neco-test/global/images"
    assert emulator.api("GET", images + "/family/base")[1]["name"] == "base-2"
    assert emulator.api("GET", images + "/base-3")[1]["deprecated"]["state"] == "DEPRECATED"
    refused(emulator.api("GET", images + "/family/none"), 404, "notFound", "images/family/none")
    machine = emulator.api("GET", ZONE + "/machineTypes/n1-highmem-8")[1]
    assert (machine["guestCpus"], machine["memoryMb"]) == (8, 53248)
    refused(emulator.api("GET", ZONE + "/machineTypes/n1-nope-1"), 404, "notFound", "n1-nope-1")


# ---- what goes wrong ----

def test_a_stock_out_ends_the_operation(start_emulator):
    emulator = start_emulator(faults=[
        "operation=insert,zone=asia-northeast1-c,count=1,vanish,error=ZONE_RESOURCE_POOL_EXHAUSTED"])
    status, operation = emulator.api("POST", ZONE + "/instances", body())
    assert status == 200
    assert len(emulator.instances()) == 1  # seen for a moment
    operation = done(emulator, operation)[0]
    error = operation["error"]["errors"][0]
    assert error["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
    info = error["errorDetails"][0]["errorInfo"]
    assert info["reason"] == "resource_availability"
    assert info["metadatas"] == {"zone": "asia-northeast1-c", "vmType": "n1-highmem-8",
                                 "attachment": "", "zonesAvailable": ""}
    assert operation["httpErrorStatusCode"] == 503
    assert emulator.instances() == []
    assert emulator.api("GET", ZONE + "/disks/neco-ops")[0] == 404
    create(emulator)  # it recovered
    hit = [e for e in emulator.log() if e.get("fault")]
    assert len(hit) == 1 and hit[0]["path"] == ZONE + "/instances"


def test_quota(start_emulator):
    emulator = start_emulator(faults=["operation=insert,error=QUOTA_EXCEEDED"])
    operation = change(emulator, "POST", ZONE + "/instances", body())
    error = operation["error"]["errors"][0]
    assert error["code"] == "QUOTA_EXCEEDED"
    assert error["message"] == "Quota 'CPUS' exceeded.  Limit: 24.0 in region asia-northeast1."
    assert error["errorDetails"][0]["quotaInfo"]["limit"] == 24


def test_an_answer_that_is_lost(start_emulator):
    emulator = start_emulator(faults=["method=POST,path=*/instances,reset,after"])
    one = str(uuid.uuid4())
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        emulator.api("POST", f"{ZONE}/instances?requestId={one}", body())
    status, operation = emulator.api("POST", f"{ZONE}/instances?requestId={one}", body())
    assert status == 200 and operation["clientOperationId"] == one
    done(emulator, operation)
    assert len(emulator.instances()) == 1


def test_a_permission_that_is_denied(start_emulator):
    emulator = start_emulator(seed={"accounts": {"default": {"deny": ["compute.instances.cr*"]}}})
    refused(emulator.api("POST", ZONE + "/instances", body()), 403, "forbidden",
            "Required 'compute.instances.create' permission for "
            "'projects/neco-test/zones/asia-northeast1-c/instances/neco-ops'")
    create_and_get = {"permissions": ["compute.instances.create", "compute.instances.get"]}
    assert emulator.api("POST", ZONE + "/instances/x/testIamPermissions", create_and_get)[1] == \
        {"permissions": ["compute.instances.get"]}


def test_many_at_once_make_one(emulator):
    emulator.token()  # one for all
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(
            lambda _: emulator.api("POST", ZONE + "/instances", body())[0], range(10)))
    assert sorted(answers) == [200] + [409] * 9


# ---- the metadata server ----

def test_the_metadata_tree(emulator):
    instance = create(emulator, tags={"items": ["web"]}, metadata={"items": [
        {"key": "startup-script", "value": "echo hi"}, {"key": "Mixed-Key", "value": "1"}]},
        serviceAccounts=[{"email": "default", "scopes": [
            "https://www.googleapis.com/auth/devstorage.read_only"]}])
    metadata = Metadata(emulator)
    assert metadata.get("instance/id")[2] == instance["id"]
    status, headers, text = metadata.get("instance/attributes/startup-script")
    assert (status, text) == (200, "echo hi")
    assert headers["Metadata-Flavor"] == "Google" and headers["ETag"]
    assert headers["Server"] == "Metadata Server for VM"
    assert headers["Content-Type"] == "application/text"
    assert metadata.get("instance/zone")[2] == "projects/123456789012/zones/asia-northeast1-c"
    assert metadata.get("instance/attributes/")[2] == "startup-script\nMixed-Key\n"
    assert "service-accounts/\n" in metadata.get("instance/")[2]
    assert json.loads(metadata.get("instance/tags")[2]) == ["web"]
    tree = json.loads(metadata.get("?recursive=true")[2])
    assert str(tree["instance"]["id"]) == instance["id"]
    assert tree["instance"]["machineType"].endswith("/machineTypes/n1-highmem-8")
    assert tree["instance"]["attributes"]["Mixed-Key"] == "1"
    assert tree["project"] == {"attributes": {}, "numericProjectId": 123456789012,
                               "projectId": "neco-test"}
    assert metadata.get("instance/nope")[0] == 404
    assert metadata.call("/computeMetadata/v1/instance/id", headers={"A": "b"})[0] == 403
    forwarded = {"Metadata-Flavor": "Google", "X-Forwarded-For": "10.0.0.1"}
    assert metadata.call("/computeMetadata/v1/instance/id", headers=forwarded)[0] == 403
    # a directory without its slash redirects; urllib follows
    assert metadata.get("instance/attributes")[2] == "startup-script\nMixed-Key\n"
    named = {"Metadata-Flavor": "Google", "Host": "metadata.google.internal"}
    assert metadata.call("/computeMetadata/v1/instance/id", headers=named)[0] == 200


def test_the_instance_token_has_the_instance_scopes(emulator):
    create(emulator, serviceAccounts=[{"email": "default", "scopes": [
        "https://www.googleapis.com/auth/devstorage.read_only"]}])
    metadata = Metadata(emulator)
    token = json.loads(metadata.get("instance/service-accounts/default/token")[2])
    assert token["token_type"] == "Bearer" and token["expires_in"] > 3000
    again = json.loads(metadata.get("instance/service-accounts/default/token")[2])
    assert again["access_token"] == token["access_token"]  # kept until shortly before its end
    auth = {"Authorization": "Bearer " + token["access_token"]}
    refused(raw(emulator, "GET", ZONE + "/instances", auth), 403, "insufficientPermissions",
            "insufficient authentication scopes")
    assert metadata.get("instance/service-accounts/default/identity")[0] == 400
    identity = metadata.get("instance/service-accounts/default/identity?audience=x")[2]
    claims = identity.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["aud"] == "x"


def test_waiting_for_a_change(emulator):
    instance = create(emulator, metadata={"items": [{"key": "request", "value": "1"}]})
    metadata = Metadata(emulator)
    path = "instance/attributes/request"
    etag = metadata.get(path)[1]["ETag"]
    began = time.time()
    status, _, text = metadata.get(f"{path}?wait_for_change=true&last_etag={etag}&timeout_sec=1")
    assert (status, text) == (200, "1") and time.time() - began > 0.9
    assert metadata.get(f"{path}?wait_for_change=true&last_etag=0")[2] == "1"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(metadata.get, f"{path}?wait_for_change=true&last_etag={etag}")
        change(emulator, "POST", ZONE + "/instances/neco-ops/setMetadata",
               {"fingerprint": instance["metadata"]["fingerprint"],
                "items": [{"key": "request", "value": "2"}]})
        status, headers, text = waiting.result(PATIENCE)
    assert text == "2" and headers["ETag"] != etag


# ---- guest attributes, serial ports ----

ENABLED = {"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]}


def test_guest_attributes(emulator):
    create(emulator, metadata=ENABLED)
    metadata = Metadata(emulator)
    query = ZONE + "/instances/neco-ops/getGuestAttributes?queryPath=necoops%2F"
    refused(emulator.api("GET", query), 404, "notFound", "guestAttributes/necoops/")
    assert metadata.put("necoops/phase", '{"phase":"boot"}')[0] == 200
    value = emulator.api("GET", query)[1]["queryValue"]
    assert value == {"items": [{"namespace": "necoops", "key": "phase",
                                "value": '{"phase":"boot"}'}]}
    assert metadata.get("instance/guest-attributes/necoops/phase")[2] == '{"phase":"boot"}'
    assert metadata.put("too/deep/key", "x")[0] == 404


def test_guest_attributes_must_be_enabled(emulator):
    create(emulator)
    status, _, text = Metadata(emulator).put("necoops/phase", "x")
    assert status == 403 and "Guest attributes endpoint access is disabled." in text


def test_too_many_guest_attributes_are_dropped(emulator):
    create(emulator, metadata=ENABLED)
    metadata = Metadata(emulator)
    statuses = [metadata.put(f"ns/k{i}", "x")[0] for i in range(7)]
    assert statuses[:4] == [200, 200, 200, 200] and 429 in statuses
    items = emulator.api("GET", ZONE + "/instances/neco-ops/getGuestAttributes?queryPath=ns/")[1]
    assert [i["key"] for i in items["queryValue"]["items"]] == ["k0", "k1", "k2"]


def test_the_window_can_be_shorter(start_emulator):
    emulator = start_emulator(timings=["guest-attributes-window=60ms"])
    create(emulator, metadata=ENABLED)
    metadata = Metadata(emulator)
    for i in range(12):
        assert metadata.put(f"ns/k{i}", "x")[0] == 200
        time.sleep(0.01)
    items = emulator.api("GET", ZONE + "/instances/neco-ops/getGuestAttributes?queryPath=ns/")[1]
    assert len(items["queryValue"]["items"]) == 12


def test_serial_ports(emulator):
    create(emulator)
    path = ZONE + "/instances/neco-ops/serialPort"
    first = emulator.api("GET", path + "?port=1&start=0")[1]
    assert "Linux version" in first["contents"]
    assert first["start"] == "0" and int(first["next"]) == len(first["contents"])
    again = emulator.api("GET", f"{path}?start={first['next']}")[1]
    assert (again["contents"], again["start"], again["next"]) == ("", first["next"], first["next"])
    last = emulator.api("GET", path + "?start=-10")[1]
    assert last["contents"] == first["contents"][-10:]
    assert emulator.api("GET", path + "?port=2")[1]["contents"] == ""
    refused(emulator.api("GET", path + "?port=5"), 400, "invalid", "less than or equal to 4")


def test_the_ring_of_a_serial_port(start_emulator):
    emulator = start_emulator("--run-startup-scripts", timings=["boot=10ms"])
    script = ("#!/bin/sh\nprintf 'first line\\n' >$NECOOPS_ROOT/dev/ttyS1\n"
              "head -c 1500000 /dev/zero | tr '\\0' x >$NECOOPS_ROOT/dev/ttyS1\n"
              "printf 'last \\377 line\\n' >$NECOOPS_ROOT/dev/ttyS1\n")
    create(emulator, metadata={"items": [{"key": "startup-script", "value": script}]})

    def look():
        output = emulator.api("GET", ZONE + "/instances/neco-ops/serialPort?port=2&start=0")[1]
        return output if output["contents"].rstrip().endswith("last \ufffd line") else None

    output = wait_for(look)
    assert int(output["start"]) == int(output["next"]) - 1048576  # the beginning is lost
    assert "first line" not in output["contents"]


# ---- the program ----

def test_faults_and_seeds_that_are_wrong(tmp_path):
    def check(text, *options):
        result = run_program("necoops-emulator", *options, cwd=tmp_path)
        assert (result.status, result.out) == (2, ""), result
        assert text in result.err

    check("fault 'path=/x': it does not say what to do", "--fault", "path=/x")
    check("timing: unknown name 'bot'; did you mean 'boot'?", "--timing", "bot=1s")
    check("git mirror 'x': it is not URL=DIR", "--git-mirror", "x")
    check("unknown option '--prot'; did you mean '--port'?", "--prot")
    check("unexpected argument 'x'", "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    check("cannot write a snapshot to 'full': it is not empty; name a new folder",
          "--write-snapshot", "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine"]
    check("cannot write a snapshot to 'full/mine': Not a directory", "--write-snapshot", "full/mine")
    (tmp_path / "seed.yaml").write_text("instancse: []\n")
    check("unknown key 'instancse'; did you mean 'instances'?", "--seed", "seed.yaml")
    (tmp_path / "seed.yaml").write_text("instances: [{name: A}]\n")
    check("seed: instance 'A': Invalid value for field 'resource.name'", "--seed", "seed.yaml")
    check("'missing.yaml'", "--seed", "missing.yaml")
