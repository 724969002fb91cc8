"""The way to a cluster: tunnels, proxies, and a front that speaks HTTP/2 with many streams."""
import base64
import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from conftest import clean_environ, wait_for
from test_deploy import APPS, REPO, Place, rows

TOKEN = "a-token-of-the-test"


@pytest.fixture
def place(folder, start_emulator):
    return Place(folder, start_emulator)


def server_of(place):
    """HOST:PORT of the API server."""
    return re.search(r"server: https://(\S+)", (place.folder / "kubeconfig").read_text()).group(1)


def change_cluster(place, server=None, **fields):
    """Another address in the kubeconfig, and more members beside it."""
    file = place.folder / "kubeconfig"
    text = file.read_text()
    indent, old = re.search(r"( *)server: (https://\S+)", text).groups()
    more = "".join(f"\n{indent}{key.replace('_', '-')}: {value}" for key, value in fields.items())
    file.write_text(text.replace(f"server: {old}", f"server: {server or old}{more}"))


# ---- tunnels ----

# Listens only after a while, as a tunnel does; the port stays taken by the test meanwhile.
TUNNEL = """\
import os, signal, socket, subprocess, sys, threading, time
def carry(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
open(sys.argv[3], "w").write(str(os.getpid()))
signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[3] + ".ended", "w").close(), os._exit(0)))
time.sleep(float(sys.argv[4]))
own = socket.socket()
own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
own.bind(("127.0.0.1", int(sys.argv[1])))
own.listen()
while True:
    here, _ = own.accept()
    there = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    for pair in ((here, there), (there, here)):
        threading.Thread(target=carry, args=pair, daemon=True).start()
"""


class Tunnel:
    """The tunnel command of a place's cluster."""

    def __init__(self, place, after="0.3"):
        self.held = socket.socket()  # bound and deaf
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.held.bind(("127.0.0.1", 0))
        self.pid_file = place.folder / "tunnel.pid"
        (place.folder / "tunnel.py").write_text(TUNNEL)
        port = self.held.getsockname()[1]
        self.argv = [sys.executable, place.folder / "tunnel.py", port,
                     server_of(place).rpartition(":")[2], self.pid_file, after]
        change_cluster(place, f"https://127.0.0.1:{port}")
        self.use(place, self.argv)

    @staticmethod
    def use(place, argv):
        text = (place.folder / "necoops.yaml").read_text()
        command = ", ".join(f'"{word}"' for word in argv)
        (place.folder / "necoops.yaml").write_text(
            text.replace("kubeconfig: kubeconfig}", f"kubeconfig: kubeconfig, tunnel: [{command}]}}",
                         1))

    def assert_ended(self):
        """In order, and nothing of it is left."""
        assert self.pid_file.with_suffix(".pid.ended").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(int(self.pid_file.read_text()), 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.held.close()


def test_a_tunnel_is_started_waited_for_and_ended(place):
    with Tunnel(place) as tunnel:
        result = place.deploy()
        assert result.status == 0, result
        tunnel.assert_ended()


def test_a_tunnel_is_ended_however_the_run_ends(place):
    with Tunnel(place) as tunnel:
        place.edit("ops/deployment.yaml", "apps/v1", "nobody.example.com/v1")
        place.commit()
        result = place.deploy()
        assert result.status == 1, result
        tunnel.assert_ended()
        tunnel.pid_file.with_suffix(".pid.ended").unlink()
        place.git("revert", "--no-edit", "HEAD")
        place.git("push", "-q", "origin", "HEAD")
        run = place.start("--stable-for", "1h", "-v")
        run.wait_for("argocd-config: ")
        run.signal(15)
        assert run.end().status == 143
        tunnel.assert_ended()


def test_a_tunnel_that_dies_early_is_told_with_its_status(place):
    with Tunnel(place) as tunnel:
        place.configure()
        tunnel.use(place, ["sh", "-c", "echo who goes there >&2; exit 3"])
        result = place.deploy()
        assert result.status == 1, result
        assert re.search(r"cluster 'neco-ops' does not answer at 'https://127\.0\.0\.1:\d+': "
                         r"its tunnel ended with status 3", result.err)
        assert "who goes there" in result.err


def test_a_tunnel_that_hangs_is_ended_when_the_time_is_up(place):
    with Tunnel(place, after="3600") as tunnel:
        result = place.deploy("--timeout", "6s", "--no-check")
        assert result.status == 6, result
        assert "the tunnel" in result.err
        tunnel.assert_ended()


def test_a_tunnel_that_is_no_command(place):
    with Tunnel(place) as tunnel:
        place.configure()
        tunnel.use(place, ["no-such-tunnel"])
        result = place.deploy()
        assert result.status in (1, 2), result
        assert "tunnel of cluster 'neco-ops': command 'no-such-tunnel' not found" in result.err


# ---- proxies ----

class Proxy:
    """Carries connections for who asks rightly: HTTP's CONNECT (RFC 9110) or SOCKS 5 (RFC 1928)."""

    def __init__(self, handshake):
        self.seen, self.handshake, self.over = [], handshake, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        threads = []
        while True:
            here, _ = self.listener.accept()
            if self.over:
                here.close()
                break
            threads.append(threading.Thread(target=self.carry, args=(here,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def carry(self, here):
        with here, contextlib.suppress(OSError):
            target = self.handshake(self, here)
            if not target:
                return
            self.seen.append(target)
            with socket.create_connection(target) as there:
                other = {here: there, there: here}
                while True:
                    for ready in select.select(list(other), [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        other[ready].sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join()
        self.listener.close()


def http_connect(proxy, here):
    head = b""
    while b"\r\n\r\n" not in head:
        head += here.recv(4096)
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    wanted = b"Proxy-Authorization: Basic " + base64.b64encode(b"me:secret")
    if method != "CONNECT" or wanted not in head:
        proxy.seen.append("refused")
        here.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return None
    here.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    host, _, port = target.rpartition(":")
    return host, int(port)


def socks5(_proxy, here):
    def take(size):
        data = b""
        while len(data) < size:
            data += here.recv(size - len(data))
        return data
    version, methods = take(2)
    assert version == 5
    take(methods)
    here.sendall(b"\x05\x00")
    _, command, _, kind = take(4)
    host = socket.inet_ntoa(take(4)) if kind == 1 else take(take(1)[0]).decode()
    port = int.from_bytes(take(2), "big")
    assert command == 1
    here.sendall(b"\x05\x00\x00\x01" + bytes(6))
    return host, port


@pytest.mark.parametrize("scheme, handshake", [("http://me:secret@", http_connect),
                                               ("socks5://", socks5)])
def test_a_proxy_of_the_kubeconfig_carries_all(place, scheme, handshake):
    with Proxy(handshake) as proxy:
        host, _, port = server_of(place).rpartition(":")
        change_cluster(place, proxy_url=f"{scheme}127.0.0.1:{proxy.port}")
        result = place.deploy("-vv")
        assert result.status == 0, result
        assert len(proxy.seen) >= 2 and set(proxy.seen) == {(host, int(port))}
        assert "secret" not in result.err


def test_a_proxy_that_refuses_us(place):
    with Proxy(http_connect) as proxy:
        change_cluster(place, proxy_url=f"http://me:wrong@127.0.0.1:{proxy.port}")
        result = place.deploy("--no-check")
        assert result.status == 4, result
        assert re.search(r"\(through the proxy '127\.0\.0\.1:\d+'\): the proxy answered 407", result.err)
        assert "wrong" not in result.err
        assert set(proxy.seen) == {"refused"}


# ---- a front that speaks HTTP/2 ----

NGINX = """\
{user} worker_processes 1; daemon off; pid {top}/nginx.pid; error_log {top}/nginx.err;
events {{ worker_connections 512; }}
http {{
  log_format told '$connection $server_protocol $request_method $uri $is_args$args $status';
  access_log {top}/nginx.log told;
  client_body_temp_path {top}/t1; proxy_temp_path {top}/t2; fastcgi_temp_path {top}/t3;
  uwsgi_temp_path {top}/t4; scgi_temp_path {top}/t5;
  http2_max_concurrent_streams 36;
  client_max_body_size 16m;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {top}/front.pem; ssl_certificate_key {top}/front.key;
    location / {{
      proxy_pass https://{server};
      proxy_http_version 1.1; proxy_set_header Host {server}; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 1h;
    }}
  }}
}}
"""


class Front:
    """Debian's nginx, with TLS and HTTP/2, before the API server of a place."""

    def __init__(self, place):
        self.top = place.folder
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "nginx is missing: run make deps-test"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=front", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                        self.top / "front.key", "-out", self.top / "front.pem"], check=True,
                       stderr=subprocess.DEVNULL)
        with socket.create_server(("127.0.0.1", 0)) as listener:  # it takes this one over
            port = listener.getsockname()[1]
            (self.top / "nginx.conf").write_text(NGINX.format(
                top=self.top, port=port, server=server_of(place),
                user="user root;" if os.geteuid() == 0 else ""))
            self.process = subprocess.Popen(
                [program, "-c", self.top / "nginx.conf", "-e", self.top / "nginx.err"],
                env={**clean_environ(), "NGINX": f"{listener.fileno()};"},
                pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
        (self.top / "kubeconfig").write_text(f"""\
apiVersion: v1
kind: Config
current-context: a
clusters: [{{name: a, cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: front.pem}}}}]
users: [{{name: a, user: {{token: {TOKEN}}}}}]
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
""")

    def stop(self):
        """Ends it; what it carried: (connection, protocol, method, path with query, status)."""
        self.process.terminate()
        self.process.wait()
        assert "emerg" not in (self.top / "nginx.err").read_text()
        return [line.split(" ", 4)[:3] + line.split(" ", 3)[3].rsplit(" ", 1)
                for line in (self.top / "nginx.log").read_text().splitlines()]


def make_many(place, count):
    """So many applications in one turn."""
    base = place.clone / "argocd-config/base"
    names = [f"many-{i:02}" for i in range(count)]
    for name in names:
        (place.clone / name).mkdir()
        (place.clone / name / "map.yaml").write_text(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ops}}\n")
        (base / f"{name}.yaml").write_text(
            (base / "ops.yaml").read_text().replace("name: ops", f"name: {name}")
            .replace("path: ops", f"path: {name}"))
    place.edit("argocd-config/base/kustomization.yaml", "resources:\n",
               "resources:\n" + "".join(f"- {name}.yaml\n" for name in names))
    place.commit()
    return names


def test_many_streams_on_one_connection_and_the_watches_on_their_own(folder, start_emulator):
    place = Place(folder, start_emulator, cluster={
        "tokens": {TOKEN: {"user": "ci", "groups": ["system:masters"]}}})
    names = make_many(place, 45)
    front = Front(place)
    try:
        result = place.deploy("--no-check", "--timeout", "90s")
    finally:
        carried = front.stop()
    assert result.status == 0, result
    assert set(names) < set(rows(result))
    watches = {c for c, protocol, _, url, _ in carried if "watch=1" in url}
    patches = [(c, protocol) for c, protocol, method, _, _ in carried if method == "PATCH"]
    assert len(patches) >= len(names)
    assert {protocol for _, protocol in patches} == {"HTTP/2.0"}
    streams = {c for c, _, _, url, _ in carried if "watch=1" not in url}
    assert len({c for c, _ in patches}) == 1 and len(streams) <= 2
    assert len(watches) == 2 and not watches & streams  # of the lease and of the applications
