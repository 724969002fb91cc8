"""A private apps repository: the deploy on the instance reads it with a token that no request has."""
import base64
import http.server
import os
import ssl
import subprocess
import threading

import pytest

from agents import Site

TOKEN = "ghp-for-this-test-only"
URL = "/example/rehearsal.git"


class Git(http.server.BaseHTTPRequestHandler):
    """Git's own CGI program behind HTTPS and a password."""

    def do_GET(self):
        self.serve(b"")

    def do_POST(self):
        self.serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def serve(self, body):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        if self.headers.get("Authorization") != self.server.wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.root),
               "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path.replace(URL, "/apps.git"),
               "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": "x",
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
               "GIT_CONFIG_VALUE_0": "*",
               "CONTENT_TYPE": self.headers.get("Content-Type", ""),
               "CONTENT_LENGTH": str(len(body))}
        out = subprocess.run(["git", "http-backend"], input=body, env=env, check=True,
                             stdout=subprocess.PIPE).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True,
                   stderr=subprocess.DEVNULL)
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Git)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    made.socket = context.wrap_socket(made.socket, server_side=True)
    made.root, made.seen = folder, []
    made.wanted = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def site(folder, start_emulator):
    place = Site(folder, start_emulator, options=("--no-check",),
                 seed={"secrets": {"github": TOKEN + "\n"}})
    yield place
    place.stop()


def private(site, server, token):
    """The repository is behind HTTPS on this machine."""
    url = f"https://localhost:{server.server_address[1]}{URL}"
    (site.home / ".gitconfig").write_text(
        f'[url "{url}"]\n\tinsteadOf = https://github.com/example/rehearsal.git\n')
    site.configure(token=token)
    site.start_agent(SSL_CERT_FILE=str(site.folder / "cert.pem"))


def said(site, result):
    return result.out + result.err + site.agent_log.read_text() + site.serial() + \
        site.emulator.log_file.read_text()


def test_the_token_is_in_secret_manager(site, server):
    private(site, server, "{secret: projects/neco-test/secrets/github}")
    result = site.deploy("-vv")
    assert result.status == 0, result
    assert "cannot be read" not in result.err, result
    assert len(site.emulator.calls("GET", "/secrets/github/versions/latest:access")) == 1
    assert server.wanted in [authorization for _, authorization in server.seen]
    assert TOKEN not in said(site, result)
    assert base64.b64encode(TOKEN.encode()).decode()[:20] not in said(site, result)


def test_the_token_is_refused(site, server):
    server.wanted = "another"
    private(site, server, "{secret: projects/neco-test/secrets/github}")
    result = site.deploy("--apps", "namespaces")
    assert result.status == 0, result  # Argo CD has its own
    assert "warning: the manifests of the commit cannot be read: " in result.err
    assert "refuses the token" in result.err


def test_there_is_no_such_secret(site, server):
    private(site, server, "{secret: projects/neco-test/secrets/none}")
    result = site.deploy("--apps", "namespaces")
    assert result.status == 0, result
    assert "the manifests of the commit cannot be read: secret 'projects/neco-test/secrets/none'" in \
        result.err
    assert server.seen == []


def test_the_token_is_in_the_metadata(site, server):
    site.emulator.set_metadata(site.instance(), **{"github-token": TOKEN})
    private(site, server, "{metadata: github-token}")
    result = site.deploy("-vv")
    assert result.status == 0, result
    assert "cannot be read" not in result.err, result
    assert TOKEN not in result.out + result.err + site.agent_log.read_text() + site.serial()
