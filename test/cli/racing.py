"""A cluster with hands in it, and eyes on what a deploy makes of that."""
import base64
import contextlib
import http.client
import json
import re
import ssl
import subprocess

from conftest import PATIENCE, clean_environ, wait_for
from test_deploy import Place

SKIP = "argocd.argoproj.io/skip-reconcile"


class Race(Place):
    """A place whose tests play a part of Argo CD's, or somebody else's."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        wait_for(lambda: self.ask("GET", "/readyz") == 200, what="the cluster")

    def kubectl(self, *args, given=None):
        return subprocess.run(
            ["kubectl", "--kubeconfig", str(self.folder / "kubeconfig"), *map(str, args)],
            env=clean_environ(), check=True, stdout=subprocess.PIPE, text=True, input=given).stdout

    def connect(self):
        """A connection to the API server as the administrator, for what a program that has to start
        first would be too late for."""
        text = (self.folder / "kubeconfig").read_text()
        field = lambda key: re.search(rf"{key}: (\S+)", text).group(1)
        pem = self.folder / "admin.pem"
        pem.write_bytes(b"".join(base64.b64decode(field(f"client-{part}-data"))
                                 for part in ("certificate", "key")))
        context = ssl.create_default_context(
            cadata=base64.b64decode(field("certificate-authority-data")).decode())
        context.load_cert_chain(pem)
        return http.client.HTTPSConnection(field("server").removeprefix("https://"), timeout=PATIENCE,
                                           context=context)

    def ask(self, method, path, body=None):
        """The status of one request, 0 when there is no answer."""
        call = self.connect()
        with contextlib.suppress(OSError, http.client.HTTPException):
            call.request(method, path, json.dumps(body) if body else None,
                         {"Content-Type": "application/json"})
            return call.getresponse().status
        return 0

    def patch(self, name, value):
        """A merge patch of an Application, by somebody else."""
        self.kubectl("patch", "application", "-n", "argocd", name, "--type=merge", "-p",
                     json.dumps(value))

    def freeze(self, name, frozen=True):
        """Argo CD leaves the application alone: the test plays its part."""
        self.patch(name, {"metadata": {"annotations": {SKIP: "true" if frozen else None}}})

    def greet(self, text):
        """A commit that changes web's ConfigMap."""
        file = self.clone / "web/base/configmap.yaml"
        file.write_text(file.read_text().rpartition("greeting:")[0] + f"greeting: {text}\n")
        return self.commit(text)

    def greeting(self):
        return self.kubectl("get", "configmap", "-n", "web", "web", "-o", "jsonpath={.data.greeting}")

    def argv(self, *args):
        """What is checked before the cluster is touched is not the subject."""
        return super().argv("--set", "deploy.askAgain=300ms", "--no-check", *args)

    def start(self, *args, **kwargs):
        (self.folder / "e.jsonl").unlink(missing_ok=True)
        return super().start("--events", "../e.jsonl", "-v", *args, **kwargs)

    def states(self, app="web"):
        """(state, revision, reason) of an application, in order, as the deploy told them."""
        file = self.folder / "e.jsonl"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        events = [e for e in map(json.loads, lines) if e["type"] == "app" and e["app"] == app]
        return [(e["state"], e["revision"], e["reason"]) for e in events]

    def wait_for_state(self, state, reason="", app="web"):
        wait_for(lambda: any(s == state and reason in r for s, _, r in self.states(app)),
                 what=f"'{state}' of {app} with '{reason}'")

    def asked(self, app):
        """The operations that we got written into an application."""
        return [e["body"]["operation"] for e in self.writes()
                if e["path"].endswith("/" + app) and e["status"] == 200
                and (e["body"].get("operation") or {}).get("initiatedBy") == {"username": "necoops"}]
