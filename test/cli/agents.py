"""An agent beside the test, on an instance of the emulator that has no processes of its own.

Its serial port is a pseudo-terminal; what it writes there is handed to the emulator as the instance's
second port, as a hypervisor would.
"""
import json
import os
import pty
import signal
import subprocess
import termios
import threading
import time
import tty
import urllib.error
import urllib.request
import uuid

from clones import REPO, Rehearsal
from conftest import BIN, CONFIG, PATIENCE, SANITIZER_WORDS, clean_environ, wait_for

ZONE = "asia-northeast1-c"
QUICK = ("reconcile=20ms", "rollout=60ms", "operation-pending=5ms", "operation-running=10ms",
         "guest-attributes-window=20ms")
INSTANCE = {"name": "neco-ops", "zone": ZONE, "status": "RUNNING",
            "machineType": f"zones/{ZONE}/machineTypes/n1-highmem-8",
            "metadata": {"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]}}


class Port:
    """The serial port: a pseudo-terminal, carried to the emulator by a thread."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave, termios.TCSANOW)
        self.path = os.ttyname(self.slave)
        self.thread = threading.Thread(target=self.carry)
        self.thread.start()

    def carry(self):
        while True:
            data = os.read(self.master, 65536)
            if data.endswith(b"\0"):
                return
            try:
                write_serial(self.emulator, data)
            except urllib.error.HTTPError as error:
                assert error.code == 404  # the instance is gone

    def close(self):
        os.write(self.slave, b"\0")
        self.thread.join(PATIENCE)
        os.close(self.master)
        os.close(self.slave)


def write_serial(emulator, data, port=2):
    """What the instance writes to a serial port."""
    request = urllib.request.Request(
        f"{emulator.url}/emulator/instances/neco-ops/serial?port={port}", data=data, method="POST")
    request.add_header("Authorization", "Bearer " + emulator.token())
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 200


class Site(Rehearsal):
    """An emulator with an instance, a cluster and a clone of the rehearsal's apps."""

    def __init__(self, folder, start_emulator, instance=INSTANCE, options=(), **kwargs):
        super().__init__(folder)
        self.options = options
        seed = {"clusters": {"ci": {"nodes": 2, "kubeconfig": str(folder / "kubeconfig"),
                                    "argocd": "v2.14.21"}},
                "instances": [instance], "buckets": {"results": {}},
                **kwargs.pop("seed", {})}
        self.emulator = start_emulator(seed=seed, mirrors=[f"{REPO}={self.bare}"], timings=QUICK,
                                       **kwargs)
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / ".gitconfig").write_text(
            f'[url "{self.bare}"]\n\tinsteadOf = {REPO}\n')
        self.configure()
        self.agent = None
        self.port = None
        self.starts = 0

    def configure(self, more="", silent="60s", gone="10m", token="{}"):
        (self.folder / "necoops.yaml").write_text(CONFIG + f"""\
apps: {{repoURL: "{REPO}", root: argocd-config, token: {token}}}
deploy: {{stableFor: 300ms, degradedGrace: 300ms, syncRetries: 0}}
agent: {{silentAfter: {silent}, goneAfter: {gone}, pollEvery: 100ms}}
clusters:
  neco-ops: {{path: argocd-config/overlays/gcp, via: instance, kubeconfig: {self.folder}/kubeconfig}}
{more}""")

    def change(self, path, old, new):
        """Edits a file and commits that."""
        self.edit(path, old, new)
        return self.commit()

    # ---- the agent ----

    def start_agent(self, *wrapper, **env):
        """Starts the agent and waits until it serves."""
        self.port = self.port or Port(self.emulator)
        self.starts += 1
        log = self.agent_log
        with open(log, "a") as err:
            self.agent = subprocess.Popen(
                [*wrapper, BIN / "necoops-agent", "-c", self.folder / "necoops.yaml", "--port",
                 self.port.path, "--state", self.folder / "agent"],
                stdin=subprocess.DEVNULL, stdout=err, stderr=err, cwd=self.folder,
                env=clean_environ(**{**self.emulator.env, "HOME": str(self.home),
                                     "GCE_METADATA_HOST": self.metadata_host(), **env}))
        wait_for(lambda: log.read_text().count("are served") >= self.starts or
                 self.agent.poll() is not None, what="the agent")
        assert self.agent.poll() is None, log.read_text()

    @property
    def agent_log(self):
        return self.folder / "agent.log"

    def metadata_host(self):
        return wait_for(lambda: self.emulator.api("GET", "/emulator/instances/neco-ops")[1]
                        .get("metadataHost"))

    def kill_agent(self):
        """As the kernel would when memory ends."""
        self.agent.kill()
        self.agent.wait(PATIENCE)

    def stop(self):
        """Ends the agent; it must end cleanly."""
        if self.agent and self.agent.poll() is None:
            self.agent.send_signal(signal.SIGTERM)
            try:
                status = self.agent.wait(60)
            finally:
                self.agent.kill()
            text = self.agent_log.read_text()
            assert status == 0 and not any(word in text for word in SANITIZER_WORDS), text
        if self.port:
            self.port.close()

    # ---- what is seen ----

    def deploy(self, *args, **kwargs):
        return self.emulator.run(*self.argv(*args), cwd=self.clone, **kwargs)

    def start(self, *args, **kwargs):
        return self.emulator.start(*self.argv(*args), cwd=self.clone, **kwargs)

    def argv(self, *args):
        return ["necoops-deploy", "-c", self.folder / "necoops.yaml", *self.options, *args]

    def instance(self):
        return self.emulator.api("GET", self.emulator.zone_url(ZONE, "instances/neco-ops"))[1]

    def requests(self):
        """What stands in the metadata item now."""
        items = self.instance()["metadata"].get("items", [])
        value = next((i["value"] for i in items if i["key"] == "necoops-request"), "")
        return json.loads(value)["requests"] if value else []

    def ask(self, *members):
        """Requests by hand; their ids. `age`: how many seconds ago they were made."""
        requests = []
        for member in members:
            member = dict(member)
            age = member.pop("age", 0)
            made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))
            requests.append({"id": str(uuid.uuid4()), "instance": self.instance()["id"],
                             "tool": "necoops-deploy", "options": {}, "caller": "a test",
                             "time": made, "timeoutMs": 60000, "aliveMs": 1000, "goneMs": 60000,
                             **member})
        value = json.dumps({"version": 1, "requests": self.requests() + requests})
        self.emulator.set_metadata(self.instance(), **{"necoops-request": value})
        return [request["id"] for request in requests]

    def serial(self):
        """All that the second serial port still has."""
        path = self.emulator.zone_url(ZONE, "instances/neco-ops/serialPort?start=0&port=2")
        return self.emulator.api("GET", path)[1]["contents"]

    def frames(self, request=None):
        """The agent's messages, of one request or all."""
        found = []
        for line in self.serial().splitlines():
            if line.startswith("@necoops "):
                frame = json.loads(line.split(" ", 4)[4])
                if request is None or frame.get("id") == request:
                    found.append(frame)
        return found

    def answer(self, request, *types):
        """The first message of one of these types for the request."""
        return wait_for(lambda: next((f for f in self.frames(request) if f["t"] in types), None),
                        what=f"{types} for {request}")

    def lease(self):
        """Who holds the cluster, or "" (kubectl)."""
        out = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.folder / "kubeconfig"), "get", "lease", "-n",
             "argocd", "necoops-deploy", "-o", "jsonpath={.spec.holderIdentity}",
             "--ignore-not-found"],
            env=clean_environ(), check=True, stdout=subprocess.PIPE, text=True)
        return out.stdout

    def runs(self):
        """How many deploys the agent began."""
        return self.agent_log.read_text().count(": necoops-deploy runs")

