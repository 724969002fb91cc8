"""curl, as the services' documentation writes the calls, against the emulator: who follows the
documentation of the real services gets along with it."""
import base64
import hashlib
import json
import re
import subprocess

import pytest

from conftest import QUICK, which

ZONE = "/compute/v1/projects/neco-test/zones/asia-northeast1-c"
BODY = {
    "name": "example-instance",
    "machineType": "zones/asia-northeast1-c/machineTypes/n1-standard-1",
    "networkInterfaces": [{"accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}],
                           "network": "global/networks/default"}],
    "disks": [{"autoDelete": "true", "boot": "true", "type": "PERSISTENT", "initializeParams": {
        "sourceImage": "projects/debian-cloud/global/images/family/debian-12"}}],
    "metadata": {"items": [{"key": "enable-guest-attributes", "value": "TRUE"},
                           {"key": "startup-script", "value": "#! /bin/bash\necho hello-console\n"}]}}


class Answer:
    """What curl got."""

    def __init__(self, text):
        head, _, self.body = text.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head, _, self.body = self.body.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            self.headers.setdefault(name.lower(), value)

    @property
    def json(self):
        return json.loads(self.body)


class Curl:
    """curl with a token in its configuration, as the documentation's $(… print-access-token)."""

    def __init__(self, emulator):
        self.emulator, self.program = emulator, which("curl")
        self.config = emulator.folder / "curl.config"
        self.config.write_text(f'header = "Authorization: Bearer {emulator.token()}"\n')

    def plain(self, *argv):
        """A call without credentials."""
        done = subprocess.run([self.program, "-q", "-sS", "-i", "--max-time", "30", *argv],
                              stdout=subprocess.PIPE, check=True, cwd=self.emulator.folder)
        return Answer(done.stdout)

    def __call__(self, path, *argv):
        url = path if path.startswith("http") else self.emulator.url + path
        return self.plain("--config", self.config, *argv, url)

    def send(self, method, path, value):
        """A call with a JSON body."""
        return self(path, "-X", method, "-H", "Content-Type: application/json", "-d",
                    json.dumps(value))


@pytest.fixture
def curl(start_emulator):
    """curl against an emulator that runs startup scripts."""
    return Curl(start_emulator("--run-startup-scripts", timings=QUICK))


def wait_done(curl, answer):
    """The documented loop: operations.wait until it is DONE."""
    assert answer.status == 200, answer.body
    operation = answer.json
    assert operation["kind"] == "compute#operation" and operation["status"] != "DONE"
    for _ in range(20):
        operation = curl(f"{ZONE}/operations/{operation['name']}/wait", "-X", "POST",
                         "-H", "Content-Length: 0").json
        if operation["status"] == "DONE":
            break
    assert operation["progress"] == 100 and "error" not in operation, operation
    return operation


def console_until(curl, text):
    """Follows serial port 1 with `next`, as the documentation says, until the text came."""
    start, seen = 0, ""
    for _ in range(200):
        output = curl(f"{ZONE}/instances/example-instance/serialPort?port=1&start={start}").json
        assert output["start"] == str(start)
        start, seen = int(output["next"]), seen + output["contents"]
        if text in seen:
            return seen
    raise AssertionError(seen)


def test_an_instance(curl):
    operation = wait_done(curl, curl.send("POST", f"{ZONE}/instances", BODY))
    assert operation["operationType"] == "insert"
    assert operation["targetLink"].endswith(
        "/compute/v1/projects/neco-test/zones/asia-northeast1-c/instances/example-instance")
    listed = curl(f"{ZONE}/instances?filter=name%3Dexample-instance").json
    assert listed["kind"] == "compute#instanceList"
    instance = listed["items"][0]
    assert instance["status"] == "RUNNING" and instance["id"] == operation["targetId"]
    assert curl(f"{ZONE}/instances/{instance['id']}").json == instance, "the id, too, names it"
    everywhere = curl("/compute/v1/projects/neco-test/aggregated/instances").json["items"]
    assert [i["name"] for i in everywhere["zones/asia-northeast1-c"]["instances"]] == [BODY["name"]]
    assert everywhere["zones/us-central1-a"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    assert "hello-console" in console_until(curl, "hello-console")
    assert wait_done(curl, curl(f"{ZONE}/instances/example-instance", "-X", "DELETE"))
    gone = curl(f"{ZONE}/instances/example-instance")
    assert gone.status == 404
    assert gone.json["error"]["errors"] == [{
        "message": "The resource 'projects/neco-test/zones/asia-northeast1-c/instances/"
                   "example-instance' was not found", "domain": "global", "reason": "notFound"}]


def test_compute_errors(curl):
    wait_done(curl, curl.send("POST", f"{ZONE}/instances", BODY))
    twice = curl.send("POST", f"{ZONE}/instances", BODY)
    assert twice.status == 409
    assert twice.json["error"]["errors"][0]["reason"] == "alreadyExists"
    assert curl("/compute/v1/projects/neco-test/zones/nowhere-9z/instances").status in (400, 404)
    bad = curl.send("POST", f"{ZONE}/instances", {**BODY, "name": "Bad_Name"})
    assert bad.status == 400 and "Bad_Name" in bad.json["error"]["message"]
    form = curl(f"{ZONE}/instances", "-X", "POST", "-d", json.dumps(BODY))
    assert form.status in (400, 415), "a JSON body must say that it is JSON"
    nobody = curl.plain(curl.emulator.url + f"{ZONE}/instances")
    assert nobody.status == 401
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert nobody.json["error"]["code"] == 401
    assert curl(f"{ZONE}/instances", "-H", "Origin: https://evil.example").status == 403
    assert curl(f"{ZONE}/instances", "-H", "Host: evil.example").status in (400, 403, 421)


def test_metadata_server(curl):
    wait_done(curl, curl.send("POST", f"{ZONE}/instances", BODY))
    url = curl.emulator.metadata_url("example-instance")
    flavor = ("-H", "Metadata-Flavor: Google")
    assert curl.plain(url + "/instance/name").status == 403, "without the header"
    name = curl.plain(url + "/instance/name", *flavor)
    assert (name.status, name.body) == (200, b"example-instance")
    assert name.headers["metadata-flavor"] == "Google" and name.headers["etag"]
    zone = curl.plain(url + "/instance/zone", *flavor).body.decode()
    assert re.fullmatch(r"projects/\d+/zones/asia-northeast1-c", zone)
    listed = curl.plain(url + "/instance/attributes/", *flavor).body.decode().split()
    assert listed == ["enable-guest-attributes", "startup-script"]
    tree = curl.plain(url + "/instance/?recursive=true", *flavor)
    assert tree.headers["content-type"] == "application/json"
    assert tree.json["attributes"]["enable-guest-attributes"] == "TRUE"
    assert curl.plain(url + "/instance/attributes/no-such", *flavor).status == 404
    assert curl.plain(url + "/instance/name", *flavor,
                      "-H", "X-Forwarded-For: 10.0.0.1").status == 403


def test_guest_attributes(curl):
    wait_done(curl, curl.send("POST", f"{ZONE}/instances", BODY))
    url = curl.emulator.metadata_url("example-instance") + "/instance/guest-attributes/example/key"
    path = f"{ZONE}/instances/example-instance/getGuestAttributes"
    assert curl(path + "?queryPath=example/key").status == 404, "until it is written"
    flavor = ("-H", "Metadata-Flavor: Google")
    assert curl.plain("-X", "PUT", "--data", "a value", url, *flavor).status == 200
    assert curl.plain(url, *flavor).body == b"a value"
    value = curl(path + "?queryPath=example/key").json
    assert value["queryValue"]["items"] == [
        {"namespace": "example", "key": "key", "value": "a value"}]
    assert curl(path + "?queryPath=example/").json["queryValue"] == value["queryValue"]


def test_instance_token_works(curl):
    body = {**BODY, "serviceAccounts": [{"email": "default", "scopes": [
        "https://www.googleapis.com/auth/compute.readonly"]}]}
    wait_done(curl, curl.send("POST", f"{ZONE}/instances", body))
    url = curl.emulator.metadata_url("example-instance")
    token = curl.plain(url + "/instance/service-accounts/default/token",
                       "-H", "Metadata-Flavor: Google").json
    assert token["token_type"] == "Bearer" and token["expires_in"] > 300
    auth = ("-H", f"Authorization: Bearer {token['access_token']}")
    assert curl.plain(curl.emulator.url + f"{ZONE}/instances", *auth).status == 200
    denied = curl.plain(curl.emulator.url + f"{ZONE}/instances", *auth, "-H",
                        "Content-Type: application/json", "-d", json.dumps(BODY))
    assert denied.status == 403, "its scope is to read only"


def test_token_endpoint(curl):
    token = ("https://oauth2.googleapis.com/token", curl.emulator.url + "/token")[1]
    grant = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer"
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').rstrip(b"=").decode()
    forged = curl.plain(token, "--data-urlencode", grant, "--data-urlencode",
                        f"assertion={head}.e30.c2lnbmF0dXJl")
    assert forged.status == 400 and forged.json["error"] == "invalid_grant"
    other = curl.plain(token, "-d", "grant_type=password&username=a&password=b")
    assert other.status == 400 and other.json["error"] == "unsupported_grant_type"
    # The right signature is tried by every test: conftest.fetch_token signs with openssl.
    assert curl.emulator.token()


# ---- Cloud Storage ----

CONTENT = bytes(range(256)) * 64
UPLOAD = "/upload/storage/v1/b/neco-snapshots/o"
OBJECTS = "/storage/v1/b/neco-snapshots/o"


@pytest.fixture
def bucket(curl):
    """curl, with a bucket and a file."""
    made = curl.send("POST", "/storage/v1/b?project=neco-test", {"name": "neco-snapshots"})
    assert made.status == 200 and made.json["kind"] == "storage#bucket", made.body
    (curl.emulator.folder / "content").write_bytes(CONTENT)
    return curl


def upload(curl, name):
    """The simple upload of the documentation."""
    answer = curl(f"{UPLOAD}?uploadType=media&name={name}", "-X", "POST", "--data-binary",
                  "@content", "-H", "Content-Type: application/octet-stream")
    assert answer.status == 200, answer.body
    return answer.json


def test_upload_and_download(bucket):
    made = upload(bucket, "2026/init%20set/image.tar")
    assert made["kind"] == "storage#object" and made["name"] == "2026/init set/image.tar"
    assert made["size"] == str(len(CONTENT)) and made["contentType"] == "application/octet-stream"
    digest = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
    assert made["md5Hash"] == digest
    name = "2026%2Finit%20set%2Fimage.tar"
    meta = bucket(f"{OBJECTS}/{name}").json
    assert meta["crc32c"] == made["crc32c"] and meta["generation"] == made["generation"]
    for prefix in ("", "/download"):
        got = bucket(f"{prefix}{OBJECTS}/{name}?alt=media")
        assert got.status == 200 and got.body == CONTENT
        assert got.headers["x-goog-generation"] == made["generation"]
        assert f"crc32c={made['crc32c']}" in got.headers["x-goog-hash"]
        assert got.headers["x-goog-stored-content-length"] == str(len(CONTENT))
    listed = bucket(f"{OBJECTS}?prefix=2026/&delimiter=/").json
    assert listed["prefixes"] == ["2026/init set/"] and "items" not in listed


@pytest.mark.parametrize("given, first, last", [("0-9", 0, 9), ("100-", 100, 16383),
                                                ("-5", 16379, 16383), ("16000-99999", 16000, 16383)])
def test_range(given, first, last, bucket):
    upload(bucket, "object")
    got = bucket(f"{OBJECTS}/object?alt=media", "-H", f"Range: bytes={given}")
    assert got.status == 206 and got.body == CONTENT[first:last + 1]
    assert got.headers["content-range"] == f"bytes {first}-{last}/16384"


def test_range_and_generation(bucket):
    old = upload(bucket, "object")
    (bucket.emulator.folder / "content").write_bytes(b"newer")
    new = upload(bucket, "object")
    assert int(new["generation"]) > int(old["generation"])
    assert bucket(f"{OBJECTS}/object?alt=media", "-H", "Range: bytes=5-").status == 416
    pinned = bucket(f"{OBJECTS}/object?alt=media&generation={old['generation']}")
    assert pinned.status == 404, "versions are not kept"
    stale = bucket(f"{OBJECTS}/object?alt=media&ifGenerationMatch={old['generation']}")
    assert stale.status == 412
    same = bucket(f"{OBJECTS}/object?alt=media&ifGenerationNotMatch={new['generation']}")
    assert same.status == 304 and same.body == b""
    again = bucket(f"{UPLOAD}?uploadType=media&name=object&ifGenerationMatch=0", "-X", "POST",
                   "--data-binary", "@content")
    assert again.status == 412
    assert again.json["error"]["errors"][0]["reason"] == "conditionNotMet"


def test_resumable_upload(bucket):
    begun = bucket(f"{UPLOAD}?uploadType=resumable&name=large", "-X", "POST", "-H",
                   "Content-Type: application/json", "-d", '{"metadata": {"tag": "init"}}')
    assert begun.status == 200 and begun.body == b""
    session = begun.headers["location"]
    chunk = 262144
    content = CONTENT * 20
    (bucket.emulator.folder / "first").write_bytes(content[:chunk])
    (bucket.emulator.folder / "rest").write_bytes(content[chunk:])
    part = bucket(session, "-X", "PUT", "--data-binary", "@first", "-H",
                  f"Content-Range: bytes 0-{chunk - 1}/{len(content)}")
    assert part.status == 308 and part.headers["range"] == f"bytes=0-{chunk - 1}"
    asked = bucket(session, "-X", "PUT", "-H", "Content-Length: 0", "-H",
                   f"Content-Range: bytes */{len(content)}")
    assert asked.status == 308 and asked.headers["range"] == f"bytes=0-{chunk - 1}"
    done = bucket(session, "-X", "PUT", "--data-binary", "@rest", "-H",
                  f"Content-Range: bytes {chunk}-{len(content) - 1}/{len(content)}")
    assert done.status in (200, 201) and done.json["size"] == str(len(content))
    assert done.json["metadata"] == {"tag": "init"}
    assert bucket(f"{OBJECTS}/large?alt=media").body == content


def test_compose_and_delete(bucket):
    parts = [upload(bucket, name) for name in ("a", "b")]
    made = bucket.send("POST", f"{OBJECTS}/whole/compose", {
        "sourceObjects": [{"name": p["name"], "generation": p["generation"]} for p in parts],
        "destination": {"contentType": "application/octet-stream"}})
    assert made.status == 200, made.body
    assert made.json["componentCount"] == 2 and "md5Hash" not in made.json
    assert bucket(f"{OBJECTS}/whole?alt=media").body == CONTENT * 2
    deleted = bucket(f"{OBJECTS}/whole", "-X", "DELETE")
    assert deleted.status == 204 and deleted.body == b""
    gone = bucket(f"{OBJECTS}/whole")
    assert gone.status == 404 and gone.json["error"]["errors"][0]["reason"] == "notFound"
    assert bucket(f"{OBJECTS}/whole?alt=media").status == 404
    assert bucket("/storage/v1/b/no-such-bucket/o").status == 404
    names = [item["name"] for item in bucket(f"{OBJECTS}?fields=items(name)").json["items"]]
    assert names == ["a", "b"]
