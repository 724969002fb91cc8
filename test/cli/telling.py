"""What the tests of reports and notifications share: a cluster with apps, and those who are told."""
import json
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


from conftest import PATIENCE, ROOT, clean_environ, wait_for, which

URL = "https://github.com/neco-test/apps.git"
COMMIT = ["git", "-c", "user.name=Ann <b>Author</b>", "-c", "user.email=ann@example.com"]


class Apps:
    """A clone of an apps repository whose remote the emulated Argo CD reads."""

    def __init__(self, folder):
        self.bare, self.clone = folder / "apps.git", folder / "apps"
        shutil.copytree(ROOT / "examples/rehearsal/apps", self.clone)
        for path in self.clone.rglob("*.yaml"):
            text = path.read_text()
            if "repoURL: " in text:
                lines = [line[:line.index("repoURL: ")] + "repoURL: " + URL if "repoURL: " in line
                         else line for line in text.splitlines()]
                path.write_text("\n".join(lines) + "\n")
        self.git("init", "-q", "-b", "master")
        self.git("config", "advice.detachedHead", "false")
        subprocess.run(["git", "init", "-q", "--bare", "-b", "master", self.bare], check=True,
                       env=clean_environ())
        self.git("remote", "add", "origin", self.bare)
        self.push("The first <i>commit</i>")

    def git(self, *argv):
        """Runs git in the clone; what it prints."""
        return subprocess.run([*COMMIT, "-C", self.clone, *argv], check=True, text=True,
                              stdout=subprocess.PIPE, env=clean_environ()).stdout.strip()

    def push(self, message):
        """Commits everything, and the remote has it; the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("push", "-q", "--force", "origin", "HEAD:master")
        return self.git("rev-parse", "HEAD")

    def write(self, path, text):
        """Writes a file of the clone."""
        (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
        (self.clone / path).write_text(text)

    def break_ops(self, image="sweeper:does-not-exist"):
        """Its Deployment gets an image that nobody has."""
        path = self.clone / "ops/deployment.yaml"
        text = path.read_text()
        text = text.replace("spec:\n  replicas:", "spec:\n  progressDeadlineSeconds: 1\n  replicas:")
        path.write_text(text.replace("quay.io/example/sweeper:1.4.2", "quay.io/example/" + image))
        assert path.read_text() != text
        return self.push("Break the sweeper <script>alert(1)</script>")

    def mend_ops(self):
        """Undoes it."""
        self.git("revert", "--no-edit", "HEAD")
        self.git("push", "-q", "origin", "HEAD:master")
        return self.git("rev-parse", "HEAD")


class World:
    """An emulated cluster "dev", its apps, and a configuration that tells people."""

    def __init__(self, start_emulator, folder, notify=None):
        self.folder = folder
        self.apps = Apps(folder)
        self.kubeconfig = folder / "dev.kubeconfig"
        self.emulator = start_emulator(
            seed={"clusters": {"dev": {"nodes": 1, "argocd": True,
                                       "kubeconfig": str(self.kubeconfig)}}},
            mirrors=[f"{URL}={self.apps.bare}"], timings=("rollout=100ms",))
        conf = {"apps": {"repoURL": URL, "root": "argocd-config"},
                "clusters": {"dev": {"path": "argocd-config/overlays/gcp", "revision": "commit",
                                     "kubeconfig": str(self.kubeconfig)}},
                "deploy": {"stableFor": "100ms", "syncRetries": 0, "degradedGrace": "2s"}}
        if notify:
            conf["notify"] = notify
        self.conf = folder / "deploy.json"
        self.conf.write_text(json.dumps(conf))

    def kubectl(self, *args, text=None):
        """kubectl with the rights of an administrator."""
        argv = [which("kubectl"), "--kubeconfig", str(self.kubeconfig), *map(str, args)]
        return subprocess.run(argv, check=True, text=True, input=text, stdout=subprocess.PIPE,
                              env=clean_environ()).stdout

    def deploy(self, *options, **kwargs):
        """Runs necoops-deploy in the clone."""
        return self.emulator.run("necoops-deploy", "-c", self.conf, "--cluster", "dev", *options,
                                 cwd=self.apps.clone, **kwargs)


class Sink:
    """An HTTP server that keeps what is posted; `answers` are given in turn, the last one again."""

    def __init__(self, answers=((200, ""),)):
        self.requests, self.lock = [], threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802 (the name is http.server's)
                """Keeps it."""
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with sink.lock:
                    answer = answers[min(len(sink.requests), len(answers) - 1)]
                    sink.requests.append({"path": self.path, "headers": dict(self.headers),
                                          "body": body, "json": json.loads(body or b"null")})
                data = answer[1].encode()
                self.send_response(answer[0])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, *args):
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def seen(self):
        """The requests so far."""
        with self.lock:
            return list(self.requests)

    def close(self):
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()


class Mailbox:
    """An SMTP server as far as a mail needs one (RFC 5321); keeps what was sent."""

    def __init__(self):
        self.mails, self.lock, self.threads = [], threading.Lock(), []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Accepts until it is closed."""
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        """One connection."""
        with peer, peer.makefile("rb") as lines:
            def say(text):
                peer.sendall(text.encode() + b"\r\n")

            say("220 localhost ESMTP")
            mail = {"to": []}
            for line in lines:
                word = line.strip().split(b" ")[0].split(b":")[0].upper()
                if word in (b"EHLO", b"HELO"):
                    say("250 localhost")
                elif word == b"MAIL":
                    mail["from"] = line.decode().strip()
                    say("250 ok")
                elif word == b"RCPT":
                    mail["to"].append(line.decode().strip())
                    say("250 ok")
                elif word == b"DATA":
                    say("354 go on")
                    data = b""
                    for part in lines:
                        if part == b".\r\n":
                            break
                        data += part[1:] if part.startswith(b".") else part
                    with self.lock:
                        self.mails.append({**mail, "data": data})
                    mail = {"to": []}
                    say("250 taken")
                elif word == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 ok")

    def seen(self):
        """The mails so far."""
        with self.lock:
            return list(self.mails)

    def close(self):
        """Ends it."""
        self.socket.close()


def free_port():
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Alertmanager:
    """Debian's prometheus-alertmanager with this configuration, on loopback."""

    def __init__(self, folder, config, program):
        self.log = folder / "alertmanager.log"
        for _ in range(3):  # somebody else may take the port in between
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            with open(self.log, "w") as log:
                self.process = subprocess.Popen(
                    [program, f"--config.file={config}", f"--storage.path={folder / 'am'}",
                     f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
                    stdout=log, stderr=log, env=clean_environ())
            wait_for(lambda: self.process.poll() is not None or self.answers(),
                     what="the Alertmanager")
            if self.process.poll() is None:
                return
        raise AssertionError(self.log.read_text())

    def answers(self):
        """It is ready."""
        try:
            with urllib.request.urlopen(self.url + "/-/ready", timeout=PATIENCE) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def alerts(self):
        """What fires now."""
        with urllib.request.urlopen(self.url + "/api/v2/alerts", timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    def close(self):
        """Ends it."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
