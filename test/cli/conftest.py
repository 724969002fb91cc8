"""The built programs against the emulator: what every test shares."""
import atexit
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("NECOOPS_BIN", ROOT / "build/bin"))
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "runtime error:")
PATIENCE = 180  # seconds: a busy machine, and programs under sanitizers; only a failure takes so long


HOME = tempfile.mkdtemp(prefix="necoops-home-")  # empty: nothing of the developer's is found there
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


def pytest_collection_modifyitems(config, items):
    """make check leaves the long ones to make soak."""
    if os.environ.get("NECOOPS_SOAK"):
        return
    items[:] = [item for item in items if "soak" not in item.keywords]


def clean_environ(**extra):
    """An environment in which nothing of the developer's own can be found."""
    env = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": HOME, "LANG": "C.UTF-8"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TMPDIR"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(extra)
    return env


class Result:
    """How a program ended."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err
        assert not any(word in err for word in SANITIZER_WORDS), err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"{self.argv} ended with {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


class Emulator:
    """One emulator of its own, and the programs run against it."""

    def __init__(self, folder, *options, seed=None, faults=(), timings=(), mirrors=()):
        self.folder = folder
        self.log_file = folder / "requests.jsonl"
        self.credentials = folder / "credentials.json"
        argv = [BIN / "necoops-emulator", "--request-log", self.log_file,
                "--credentials", self.credentials, "--data", folder / "data", *options]
        if seed is not None:
            (folder / "seed.json").write_text(json.dumps(seed))
            argv += ["--seed", folder / "seed.json"]
        for fault in faults:
            argv += ["--fault", fault]
        for timing in timings:
            argv += ["--timing", timing]
        for mirror in mirrors:
            argv += ["--git-mirror", mirror]
        self.errors = open(folder / "emulator.err", "w+")
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        stdin=subprocess.DEVNULL, env=clean_environ())
        self.env = {}
        for _ in range(2):  # what it prints once it is ready
            line = self.process.stdout.readline()
            if not line.startswith("export "):
                self.errors.seek(0)
                raise AssertionError(f"the emulator did not start: {line!r} {self.errors.read()}")
            name, value = line[len("export "):].rstrip("\n").split("=", 1)
            self.env[name] = value.strip("'")
        self.url = self.env["NECOOPS_EMULATOR"]

    def popen(self, *argv, cwd=None, env=None, **kwargs):
        """Starts a program against this emulator."""
        return start_program(argv, cwd or self.folder, {**self.env, **(env or {})}, **kwargs)

    def run(self, *argv, cwd=None, env=None, timeout=PATIENCE):
        """Runs a program to its end."""
        process = self.popen(*argv, cwd=cwd, env=env)
        return finish(process, timeout)

    def start(self, *argv, **kwargs):
        """Starts a program whose messages can be waited for while it runs."""
        return Background(self, argv, **kwargs)

    def log(self):
        """The requests so far; a line that is being written is left for the next look."""
        text = self.log_file.read_text() if self.log_file.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def calls(self, method=None, contains=""):
        """Requests of this method whose path holds the text."""
        return [e for e in self.log()
                if (method is None or e["method"] == method) and contains in e["path"]]

    def metadata_url(self, name="neco-ops"):
        """The metadata server of the newest running instance of that name."""
        def look():
            text = (self.folder / "emulator.err").read_text()
            return re.findall(rf"metadata {name}: serves on (127\.0\.0\.1:\d+)", text)
        return f"http://{wait_for(look)[-1]}/computeMetadata/v1"

    def report_phase(self, phase, message="", name="neco-ops"):
        """What the instance itself would write."""
        value = {"phase": phase, "message": message, "bootId": "b",
                 "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        self.write_attribute("necoops/phase", json.dumps(value), name)

    def write_attribute(self, path, value, name="neco-ops"):
        """A guest attribute, from inside the instance."""
        request = urllib.request.Request(
            f"{self.metadata_url(name)}/instance/guest-attributes/{path}", method="PUT",
            data=value.encode(), headers={"Metadata-Flavor": "Google"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 200

    def zone_url(self, zone, path):
        """A path of the API below a zone of the project."""
        return f"/compute/v1/projects/neco-test/zones/{zone}/{path}"

    def set_metadata(self, instance, **items):
        """Adds to an instance's metadata, as the documentation of setMetadata says."""
        zone, name = instance["zone"].rpartition("/")[2], instance["name"]
        status, now = self.api("GET", self.zone_url(zone, f"instances/{name}"))
        assert status == 200, now
        metadata = now["metadata"]
        metadata["items"] = [i for i in metadata.get("items", []) if i["key"] not in items]
        metadata["items"] += [{"key": k, "value": v} for k, v in items.items()]
        self.finish_operation(
            zone, self.api("POST", self.zone_url(zone, f"instances/{name}/setMetadata"), metadata))

    def finish_operation(self, zone, answer):
        """Waits until the operation that was answered is done; it must have succeeded."""
        status, operation = answer
        assert status == 200, operation
        while operation["status"] != "DONE":
            status, operation = self.api(
                "POST", self.zone_url(zone, f"operations/{operation['name']}/wait"))
            assert status == 200, operation
        assert "error" not in operation, operation

    def token(self):
        """An access token, fetched as the service's documentation says."""
        if not hasattr(self, "_token"):
            self._token = fetch_token(self)
        return self._token

    def api(self, method, path, body=None):
        """A plain JSON call; (status, value)."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Authorization", "Bearer " + self.token())
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else text.decode()

    def instances(self, project="neco-test"):
        """Every instance, over all zones."""
        status, value = self.api("GET", f"/compute/v1/projects/{project}/aggregated/instances")
        assert status == 200, value
        return [i for scope in value.get("items", {}).values() for i in scope.get("instances", [])]

    def stop(self):
        """Ends it; it must end cleanly and leave nothing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = f"still running {PATIENCE} s after SIGTERM"
        self.process.stdout.close()
        self.errors.seek(0)
        text = self.errors.read()
        self.errors.close()
        assert status == 0, f"the emulator ended with {status}: {text}"
        assert not any(word in text for word in SANITIZER_WORDS), text


def start_program(argv, cwd, env, **kwargs):
    """Starts a program; nobody is at its terminal."""
    kwargs = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
              **kwargs}
    return subprocess.Popen([str(a) for a in argv], cwd=cwd, text=True, env=clean_environ(**env),
                            **kwargs)


def run_program(*argv, cwd, env=None, timeout=PATIENCE):
    """Runs a program without an emulator to its end."""
    return finish(start_program(argv, cwd, env or {}), timeout)


def wait_for(condition, timeout=PATIENCE, what="what was waited for"):
    """Looks until the condition holds; its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come within {timeout} s"
        time.sleep(0.01)


class Background:
    """A program that runs beside the test."""

    count = 0

    def __init__(self, emulator, argv, **kwargs):
        Background.count += 1
        self.out = emulator.folder / f"run-{Background.count}.out"
        self.err = emulator.folder / f"run-{Background.count}.err"
        with open(self.out, "w") as out, open(self.err, "w") as err:
            self.process = emulator.popen(*argv, stdout=out, stderr=err, **kwargs)

    def wait_for(self, text, timeout=PATIENCE):
        """Waits until it has said so on standard error."""
        wait_for(lambda: text in self.err.read_text() or self.process.poll() is not None, timeout,
                 f"'{text}' of {self.process.args}")
        assert text in self.err.read_text(), self.end()

    def end(self, timeout=PATIENCE):
        """Waits for its end."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = f"still running after {timeout} s"
        out, err = self.out.read_text(), self.err.read_text()
        assert not isinstance(status, str), (self.process.args, status, out, err)
        return Result(self.process.args, status, out, err)

    def signal(self, number):
        """Sends a signal."""
        self.process.send_signal(number)


def finish(process, timeout=PATIENCE):
    """Waits for a started program."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{process.args} did not end within {timeout} s\n{out}\n{err}")
    return Result(process.args, process.returncode, out, err)


def fetch_token(emulator):
    """The JWT bearer grant (RFC 7523) with openssl, as the service's documentation describes it."""
    import base64
    import urllib.parse

    key = json.loads(emulator.credentials.read_text())
    pem = emulator.folder / "key.pem"
    pem.write_text(key["private_key"])

    def b64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = int(time.time())
    claims = {"iss": key["client_email"], "scope": "https://www.googleapis.com/auth/cloud-platform",
              "aud": "https://oauth2.googleapis.com/token", "iat": now, "exp": now + 3600}
    head = {"alg": "RS256", "typ": "JWT", "kid": key["private_key_id"]}
    text = b64(json.dumps(head).encode()) + b"." + b64(json.dumps(claims).encode())
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", pem], input=text,
                            stdout=subprocess.PIPE, check=True).stdout
    form = urllib.parse.urlencode({
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": (text + b"." + b64(signed)).decode()}).encode()
    with urllib.request.urlopen(key["token_uri"], data=form, timeout=PATIENCE) as answer:
        return json.loads(answer.read())["access_token"]


CONFIG = """\
project: neco-test
zones: [asia-northeast1-c, asia-northeast1-b]
instance:
  machineTypes: [n1-highmem-8]
  image: {project: neco-test, family: vmx-enabled}
  nestedVirtualization: true
"""


# Where time is not the subject.
QUICK = ("operation-pending=10ms", "operation-running=20ms", "boot=10ms",
         "guest-attributes-window=20ms")


@pytest.fixture
def folder(tmp_path):
    """A working folder with a necoops.yaml."""
    (tmp_path / "necoops.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def start_emulator(folder):
    """Starts emulators; each is ended after the test."""
    started = []

    def start(*options, **kwargs):
        emulator = Emulator(folder, *options, **kwargs)
        started.append(emulator)
        return emulator

    yield start
    for emulator in started:
        emulator.stop()


def which(name):
    """A program's path, which make deps-test has installed."""
    path = shutil.which(name)
    assert path, f"{name} is missing: run make deps-test"
    return path
