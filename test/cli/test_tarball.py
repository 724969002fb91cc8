"""The archive of make tarball: what is in it, and that it needs nothing else."""
import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from conftest import BIN, QUICK, ROOT, clean_environ, run_program

# What Debian's libc6 brings: the only libraries that are taken from the system.
BASE_SYSTEM = {"libc.so.6", "libm.so.6", "libresolv.so.2", "ld-linux-x86-64.so.2",
               "ld-linux-aarch64.so.1"}
NEWEST_GLIBC = (2, 36)  # of Debian 12
LIMIT = 25_000_000


def is_sanitized():
    """Sanitized programs need the sanitizers' libraries, and are never packed."""
    return "libasan" in subprocess.run(["ldd", BIN / "necoops-create"], text=True, check=True,
                                       stdout=subprocess.PIPE).stdout


pytestmark = pytest.mark.skipif(is_sanitized(), reason="sanitized programs are not packed")


def pack(bin_folder, out, **env):
    """Runs packaging/tarball; its result."""
    return subprocess.run([ROOT / "packaging/tarball", bin_folder, out], text=True,
                          env={**clean_environ(), **env}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    """The archive's path and what was printed, packed once for all that test it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "tarball"
    folder.mkdir(exist_ok=True)
    out = folder / "necoops.tar.gz"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            done = pack(BIN, out)
            assert done.returncode == 0, done
            (folder / "done").write_text(json.dumps([done.stdout, done.stderr]))
    return out, *json.loads((folder / "done").read_text())


@pytest.fixture
def unpacked(packed, tmp_path):
    """The archive unpacked into a folder of an awkward name."""
    home = tmp_path / "a folder" / "necoops"
    home.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", packed[0], "-C", home], check=True)
    return home


def readelf(*argv):
    """What readelf prints."""
    return subprocess.run(["readelf", "-W", *argv], check=True, text=True, stdout=subprocess.PIPE,
                          env={**os.environ, "LC_ALL": "C"}).stdout


# ---- making it ----

def test_it_prints_what_the_configuration_wants(packed, folder):
    out, printed, said = packed
    sha256 = hashlib.sha256(out.read_bytes()).hexdigest()
    assert yaml.safe_load(printed) == {
        "instance": {"programs": {"archive": "gs://BUCKET/necoops.tar.gz", "sha256": sha256}}}
    assert re.fullmatch(r".*/necoops\.tar\.gz: [\d.]+ MB, installed [\d.]+ MB \(at most 25 MB\)\n",
                        said), said
    config = yaml.safe_load((folder / "necoops.yaml").read_text())
    config["instance"].update(yaml.safe_load(printed)["instance"])
    (folder / "necoops.yaml").write_text(json.dumps(config))
    shown = run_program("necoops-create", "--print-config", cwd=folder)
    assert shown.status == 0 and sha256 in shown.out, shown


def test_it_is_small_enough(packed, unpacked):
    used = subprocess.run(["du", "-s", "--block-size=1", unpacked], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.split()[0]
    assert int(used) <= LIMIT
    assert f"installed {int(used) / 1e6:.1f} MB" in packed[2], (used, packed[2])


def test_packing_again_gives_the_same_bytes(packed, tmp_path):
    """Elsewhere, from files of another age, in another order, for another user's taste."""
    moved = tmp_path / "elsewhere" / "bin"
    moved.mkdir(parents=True)
    for program in sorted(BIN.glob("necoops-*"), reverse=True):
        shutil.copyfile(program, moved / program.name)
        (moved / program.name).chmod(0o700)
        os.utime(moved / program.name, (1_000_000_000, 1_000_000_000))
    script = f'umask 077; exec "{ROOT}/packaging/tarball" "$@"'
    again = subprocess.run(["bash", "-c", script, "pack", moved, tmp_path / "again.tar.gz"], text=True,
                           env=clean_environ(TZ="Asia/Tokyo", LANG="de_DE.UTF-8", TAR_OPTIONS="-v"),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert again.returncode == 0, again
    assert (tmp_path / "again.tar.gz").read_bytes() == packed[0].read_bytes()


def test_its_members_tell_nothing_of_who_made_it(packed):
    with tarfile.open(packed[0]) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == sorted((m.name for m in members), key=lambda n: n.split("/"))
    for member in members:
        assert member.isdir() or member.isreg(), member
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", ""), member
        assert member.mtime == 315532800, "1980, unless SOURCE_DATE_EPOCH says otherwise"
        runs = member.isdir() or member.name.startswith("bin/")
        assert member.mode == (0o755 if runs else 0o644), member
        assert member.name.split("/")[0] in ("bin", "lib", "share"), member
    names = {m.name for m in members}
    tools = {path.name for path in (ROOT / "cmd").iterdir()}
    assert {f"bin/{tool}" for tool in tools} == {n for n in names if n.startswith("bin/")}
    assert {f"share/man/man1/{tool}.1" for tool in tools} <= names


def test_a_program_that_looks_elsewhere_is_refused(tmp_path):
    (tmp_path / "bin").mkdir()
    shutil.copy(shutil.which("true"), tmp_path / "bin/necoops-true")
    done = pack(tmp_path / "bin", tmp_path / "x.tar.gz")
    assert done.returncode == 1, done
    assert f"'{tmp_path}/bin/necoops-true' does not look for its libraries" in done.stderr
    assert not (tmp_path / "x.tar.gz").exists()


def test_what_is_too_large_is_refused(tmp_path):
    (tmp_path / "bin").mkdir()
    pad = tmp_path / "pad"
    pad.write_bytes(bytes(LIMIT))
    subprocess.run(["objcopy", "--add-section", f".pad={pad}", BIN / "necoops-create",
                    tmp_path / "bin/necoops-create"], check=True)
    done = pack(tmp_path / "bin", tmp_path / "x.tar.gz")
    assert done.returncode == 1, done
    assert re.search(r"installed, it would take \d+ bytes, more than 25000000", done.stderr), done
    assert not (tmp_path / "x.tar.gz").exists()


# ---- needing nothing else ----

def test_every_library_is_inside(unpacked):
    libraries = {path.name for path in (unpacked / "lib/necoops").iterdir()}
    needed = set()
    for path in [*(unpacked / "bin").iterdir(), *(unpacked / "lib/necoops").iterdir()]:
        dynamic = readelf("-d", path)
        wants = set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic))
        assert wants <= libraries | BASE_SYSTEM, (path, wants)
        needed |= wants
        if path.parent.name == "bin":
            assert re.findall(r"\((R.*PATH)\).*\[(.+)\]", dynamic) == [
                ("RPATH", "$ORIGIN/../lib/necoops")], dynamic
        else:
            assert "PATH)" not in dynamic, f"{path} would look elsewhere"
        for version in re.findall(r"GLIBC_(\d+)\.(\d+)", readelf("-V", path)):
            assert tuple(map(int, version)) <= NEWEST_GLIBC, (path, version)
    assert libraries <= needed, "nothing is there that nobody needs"


def loaded(program, **env):
    """The libraries that the loader finds for a program: name to path."""
    out = subprocess.run([program], check=True, text=True, stdout=subprocess.PIPE,
                         env={**clean_environ(), **env, "LD_TRACE_LOADED_OBJECTS": "1"}).stdout
    return dict(re.findall(r"^\s*(\S+) => (.+) \(0x", out, re.M))


def test_its_own_libraries_come_first(unpacked, tmp_path):
    for program in (unpacked / "bin").iterdir():
        link = tmp_path / program.name
        link.symlink_to(program)
        for found in (loaded(program), loaded(link),
                      loaded(program, LD_LIBRARY_PATH="/usr/lib/x86_64-linux-gnu")):
            outside = {name for name, path in found.items() if str(unpacked) not in
                       os.path.realpath(path)}
            assert found and outside <= BASE_SYSTEM, (program, found)


def test_programs_run_from_where_they_were_put(unpacked, tmp_path):
    for program in (unpacked / "bin").iterdir():
        shown = run_program(program, "--version", cwd=tmp_path)
        assert (shown.status, shown.out) == (0, f"{program.name} 0.1.0\n"), shown


def test_what_is_inside_is_told(unpacked):
    doc = unpacked / "share/doc/necoops"
    packages = [line.split() for line in (doc / "packages").read_text().splitlines()]
    assert packages == sorted(packages) and all(len(words) == 2 for words in packages)
    names = {words[0] for words in packages}
    assert {"libcurl4", "libssl3", "libgit2-1.5", "ca-certificates"} <= names, names
    terms = gzip.decompress((doc / "copyright.gz").read_bytes()).decode()
    for source in ("curl", "openssl", "libgit2", "gmp"):
        assert f"==== {source} ====\n" in terms


# ---- certificates ----

def test_only_the_packages_certificates_are_inside(unpacked):
    """None that was added to the machine that packed."""
    bundle = (unpacked / "share/necoops/ca-certificates.crt").read_text()
    of_package = subprocess.run(["dpkg-query", "-L", "ca-certificates"], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.splitlines()
    expected = "".join(open(path, encoding="utf-8").read() for path in sorted(of_package)
                       if path.startswith("/usr/share/ca-certificates/") and path.endswith(".crt"))
    assert bundle == expected and bundle.count("BEGIN CERTIFICATE") > 100


@pytest.fixture
def https(tmp_path):
    """An HTTPS server at localhost, and the file of the CA behind it."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem", "-days",
                    "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, stderr=subprocess.DEVNULL)

    class Handler(BaseHTTPRequestHandler):
        """Knows nothing, and has a clock."""

        def do_GET(self):
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Nothing is logged."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}", tmp_path / "ca.pem"
    server.shutdown()
    thread.join()
    server.server_close()


HIDE = 'mount -t tmpfs none /etc/ssl/certs && exec "$@"'  # as where there is no ca-certificates
HIDDEN = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", HIDE, "bash"]


def clock(unpacked, url, prefix=(), **env):
    """What the doctor says of the clock, for which it asks the server."""
    shown = run_program(*prefix, unpacked / "bin/necoops-status", "--doctor", "-o", "json",
                        cwd=unpacked, timeout=120,
                        env={"NECOOPS_COMPUTE_ENDPOINT": url, "NO_PROXY": "localhost",
                             "GOOGLE_OAUTH_ACCESS_TOKEN": "t", **env})
    assert shown.status == 1, shown
    checks = {c["check"]: c for c in shown.json}
    return checks["clock"]["outcome"], checks["clock"]["detail"]


def test_certificates_come_along_where_there_are_none(unpacked, https, folder):
    url, ca = https
    shutil.copy(folder / "necoops.yaml", unpacked)
    if subprocess.run([*HIDDEN, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("this machine has no user namespaces")
    bundle = unpacked / "share/necoops/ca-certificates.crt"
    assert clock(unpacked, url)[0] == "wrong", "a CA that nobody knows"
    outcome, detail = clock(unpacked, url, HIDDEN)
    assert outcome == "wrong" and "cannot trust the certificate" in detail, detail
    bundle.write_text(bundle.read_text() + ca.read_text())
    assert clock(unpacked, url)[0] == "wrong", "the system's are taken where there are any"
    assert clock(unpacked, url, HIDDEN)[0] == "ok"
    assert clock(unpacked, url, HIDDEN, SSL_CERT_FILE="/nowhere")[0] == "wrong", "what is said counts"
    bundle.unlink()
    outcome, detail = clock(unpacked, url, HIDDEN)
    assert outcome == "wrong" and "cannot read the CA certificates" in detail, detail


# ---- on an instance ----

def test_an_instance_runs_them(packed, start_emulator, folder):
    out, printed, _ = packed
    sha256 = yaml.safe_load(printed)["instance"]["programs"]["sha256"]
    (folder / "setup.sh").write_text("#!/bin/sh\ncommand -v necoops-snapshot-load\n"
                                     "necoops-snapshot-load --version\n")
    objects = {"necoops.tar.gz": {"file": str(out)}}
    emulator = start_emulator("--run-startup-scripts", timings=QUICK,
                              seed={"buckets": {"neco-tools": {"objects": objects}}})
    made = emulator.run("necoops-create", "--follow", "--set", "instance.setup=setup.sh", "--set",
                        "instance.programs.archive=gs://neco-tools/necoops.tar.gz", "--set",
                        f"instance.programs.sha256={sha256}")
    assert made.status == 0, made
    for words in ("/opt/necoops/bin/necoops-snapshot-load", "necoops-snapshot-load 0.1.0"):
        assert words in made.err, made


# ---- from source to bytes ----

@pytest.mark.soak
def test_another_folder_gives_the_same_archive(packed, tmp_path):
    """The whole way: sources in a folder of another name and length, compiled anew."""
    source = tmp_path / "some" / "other" / "place"
    for name in ("Makefile", "cmd", "include", "lib", "man", "packaging"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
        else:
            source.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    subprocess.run(["make", "-j2", "all"], cwd=source, check=True, env=clean_environ(),
                   stdout=subprocess.DEVNULL)
    again = pack(source / "build/bin", tmp_path / "again.tar.gz")
    assert again.returncode == 0, again
    assert (tmp_path / "again.tar.gz").read_bytes() == packed[0].read_bytes()


@pytest.mark.soak
def test_a_whole_day_on_a_bare_system(packed):
    """NECOOPS_BARE names a root file system, made as packaging/rehearse tells."""
    root = os.environ.get("NECOOPS_BARE")
    if root is None or os.geteuid() != 0:
        pytest.skip("it wants root, and NECOOPS_BARE")
    day = run_program(ROOT / "packaging/rehearse", root, packed[0], cwd=ROOT, timeout=600)
    assert day.status == 0 and "every step did what it should" in day.out, day
