"""necoops-snapshot-save: what is stored, what a load makes of it, and what is left after a failure."""
import calendar
import http.server
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

from conftest import BIN, PATIENCE, wait_for, which
from snapshots import LOAD, PART, images, listing  # noqa: F401  (a fixture)

SAVE = "necoops-snapshot-save"
POINTER = "gs://snapshots/dc/current.json"
SEED = {"buckets": {"snapshots": {"objects": {}}}}


@pytest.fixture
def start_emulator(start_emulator):
    """Emulators whose programs find no metadata server, wherever the tests run."""
    def start(**kwargs):
        emulator = start_emulator(**kwargs)
        emulator.env["GCE_METADATA_HOST"] = "127.0.0.1:9"
        return emulator
    return start


def save(emulator, *options, **kwargs):
    """Saves ./images."""
    return emulator.run(SAVE, "--from", "images", "--set", f"snapshot.partSize={PART}", *options,
                        POINTER, **kwargs)


def names(emulator):
    """What is in the bucket."""
    status, value = emulator.api("GET", "/storage/v1/b/snapshots/o")
    assert status == 200, value
    return [item["name"] for item in value.get("items", [])]


def read(emulator, name):
    """The content of an object."""
    request = urllib.request.Request(
        f"{emulator.url}/storage/v1/b/snapshots/o/{urllib.parse.quote(name, safe='')}?alt=media",
        headers={"Authorization": "Bearer " + emulator.token()})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read()


def pointer(emulator):
    """The sets it names, current one first."""
    return json.loads(read(emulator, "dc/current.json"))["sets"]


def load(emulator, to="dest"):
    """Loads the files of the current set."""
    result = emulator.run(LOAD, "--loader", "none", "--to", to, "--set", f"snapshot.partSize={PART}",
                          POINTER)
    assert result.status == 0, result
    return result


def uploads(emulator):
    """The requests that stored a part."""
    return [e for e in emulator.calls("POST", "/upload/") if "parts" in e["query"].get("name", "")]


def noise(path, size, number=1):
    """A file that does not pack."""
    path.write_bytes(random.Random(number).randbytes(size))


# ---- it arrives ----

def test_round_trip(folder, images, start_emulator):
    emulator = start_emulator(seed=SEED)
    result = save(emulator, "-o", "json", "--tag", "init", "--tag", "other", "--name", "one",
                  "--set", "snapshot.nodes=5")
    assert result.status == 0, result
    assert names(emulator) == ["dc/current.json", "dc/sets/one/manifest.json",
                               "dc/sets/one/snapshot.tar.zst"]
    assert pointer(emulator) == [{"manifest": "sets/one/manifest.json"}]
    manifest = json.loads(read(emulator, "dc/sets/one/manifest.json"))
    assert manifest["tags"] == ["init", "other"] and manifest["nodes"] == 5
    assert int(manifest["entries"]) == len(listing(images)) + 1  # the top folder
    assert int(manifest["unpackedBytes"]) == sum(
        len(v[3]) for k, v in listing(images).items() if (images / k).is_file()
        and not (images / k).is_symlink() and k != "snapshots/init.json")
    assert int(manifest["diskBytes"]) <= 1_600_000  # 500 KB of noise, a file of zeros, text
    status, stored = emulator.api("GET", "/storage/v1/b/snapshots/o/dc%2Fsets%2Fone%2Fsnapshot.tar.zst")
    assert status == 200 and stored["contentType"] == "application/zstd"
    assert manifest["objects"] == [{"name": "snapshot.tar.zst", **{
        key: stored[key] for key in ("generation", "size", "crc32c")}}]
    assert result.json["bytes"] == result.json["sentBytes"] == int(stored["size"])
    assert [p["name"] for p in result.json["phases"]] == ["look", "scan", "upload", "join", "publish",
                                                          "clean"]
    load(emulator)
    assert listing(folder / "dest") == listing(images)
    assert (folder / "dest/volumes/node1/root.img").stat().st_blocks * 512 <= 700_000
    assert (folder / "dest/hard").stat().st_nlink == 2


def test_other_programs_read_it(folder, images, start_emulator):
    (images / "volumes" / ("long" * 30)).write_text("a long name")
    (images / "\u5c71").write_text("not ASCII")
    os.symlink("x" * 150, images / "far")
    os.truncate(images / "volumes" / "node1" / "root.img", 9 << 30)  # a hole at the end
    emulator = start_emulator(seed=SEED)
    assert save(emulator, "--name", "one").status == 0
    (folder / "one.tar.zst").write_bytes(read(emulator, "dc/sets/one/snapshot.tar.zst"))
    (folder / "out").mkdir()
    subprocess.run("zstd -dqc one.tar.zst | tar -C out -xf -", shell=True, cwd=folder, check=True)
    root = folder / "out/volumes/node1/root.img"
    assert root.stat().st_size == 9 << 30 and root.stat().st_blocks * 512 <= 700_000
    for top in (images, folder / "out"):
        os.truncate(top / "volumes" / "node1" / "root.img", 5_000_000)
        os.utime(top / "volumes" / "node1" / "root.img", (1, 1))
    assert listing(folder / "out") == listing(images)
    # The index at the end: frames of 1 MiB, as the seekable format has it.
    data = (folder / "one.tar.zst").read_bytes()
    count, flags, magic = struct.unpack("<IBI", data[-9:])
    assert magic == 0x8F92EAB1 and flags == 0
    table = data[-9 - 8 * count:-9]
    packed = [struct.unpack("<II", table[i:i + 8]) for i in range(0, len(table), 8)]
    assert all(plain == 1 << 20 for _, plain in packed[:-1])
    assert sum(size for size, _ in packed) + 8 + len(table) + 9 == len(data)
    first = subprocess.run(["zstd", "-dqc"], input=data[packed[0][0]:packed[0][0] + packed[1][0]],
                           stdout=subprocess.PIPE, check=True).stdout
    assert len(first) == packed[1][1]  # a frame in the middle stands for itself


def test_the_same_folder_is_the_same_bytes(folder, images, start_emulator):
    subprocess.run(["cp", "-a", images, folder / "copy"], check=True)
    emulator = start_emulator(seed=SEED)
    first = save(emulator, "-o", "json", "--name", "one")
    second = emulator.run(SAVE, "--from", "copy", "-o", "json", "--name", "two", POINTER)
    assert first.status == second.status == 0, (first, second)
    assert [r.json["crc32c"] for r in (first, second)] == [first.json["crc32c"]] * 2
    assert [p["manifest"] for p in pointer(emulator)] == ["sets/two/manifest.json",
                                                          "sets/one/manifest.json"]
    assert "replaced" in pointer(emulator)[1]


def test_many_parts(folder, images, start_emulator):
    noise(images / "noise", 2_600_000)
    emulator = start_emulator(seed=SEED)
    result = save(emulator, "--set", "snapshot.partSize=65536", "--connections", "3", "-o", "json")
    assert result.status == 0, result
    assert len(uploads(emulator)) == -(-result.json["bytes"] // 65536) > 32
    composed = emulator.calls("POST", "/compose")
    assert len(composed) == -(-len(uploads(emulator)) // 32) + 1
    assert [e for e in emulator.calls("DELETE") if "owner" in e["path"]]
    assert [n for n in names(emulator) if "parts" in n or "owner" in n] == []
    load(emulator)
    assert listing(folder / "dest") == listing(images)


def test_empty_and_huge(folder, start_emulator):
    (folder / "images").mkdir()
    emulator = start_emulator(seed=SEED)
    result = save(emulator, "-o", "json")
    assert result.status == 0 and result.json["files"] == 0, result
    load(emulator)
    assert listing(folder / "dest") == {}
    huge = folder / "images" / "disk.img"
    with open(huge, "wb") as image:
        for at in (0, 1 << 33, (1 << 40) - 4096):
            image.seek(at)
            image.write(b"content " * 512)
        image.truncate((1 << 40) + 12345)
    result = save(emulator, "-o", "json")
    assert result.status == 0 and result.json["diskBytes"] <= 65536, result
    assert result.json["unpackedBytes"] == (1 << 40) + 12345
    load(emulator)
    found = (folder / "dest" / "disk.img")
    assert found.stat().st_size == (1 << 40) + 12345 and found.stat().st_blocks * 512 <= 65536
    with open(found, "rb") as image:
        for at in (0, 1 << 33, (1 << 40) - 4096):
            image.seek(at)
            assert image.read(4096) == b"content " * 512


def test_what_is_left_out(folder, images, start_emulator):
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(images)
        listener.bind("monitor")
        os.chdir(folder)
        emulator = start_emulator(seed=SEED)
        result = save(emulator, "--exclude", "snapshots", "--exclude", "*/node1/t*", "-o", "json")
    assert result.status == 0, result
    assert result.json["leftOut"] == ["monitor", "snapshots", "volumes/node1/text"]
    assert "3 entries are left out" in result.err
    load(emulator)
    assert sorted(listing(folder / "dest")) == ["hard", "link", "volumes", "volumes/node1",
                                                "volumes/node1/root.img", "volumes/node1/zeros.img"]


# ---- it is refused, before anything is uploaded ----

def setuid(path):
    path.write_text("x")
    path.chmod(0o4755)


HOSTILE = {
    "control character": (lambda top: (top / "a\x1b[31mb").write_text("x"),
                          "name has a control character in it"),
    "not UTF-8": (lambda top: open(os.fsencode(top) + b"/\xff", "w").close(), "name is not UTF-8"),
    "fifo": (lambda top: os.mkfifo(top / "pipe"), "'pipe': it is a device or a FIFO"),
    "setuid": (lambda top: setuid(top / "su"), "'su': it has the setuid or setgid bit"),
    "link out": (lambda top: os.symlink("../../x", top / "out"),
                 "'out': link leads out of the destination"),
    "absolute link": (lambda top: os.symlink("/etc/passwd", top / "out"),
                      "'out': link leads to an absolute path"),
}


def test_hostile_folders(folder, start_emulator):
    emulator = start_emulator(seed=SEED)
    for what, (make, message) in HOSTILE.items():
        shutil.rmtree(folder / "images", ignore_errors=True)
        (folder / "images").mkdir()
        (folder / "images" / "good").write_text("good")
        make(folder / "images")
        result = save(emulator)
        assert result.status == 1 and message in result.err, (what, result)
        assert "folder 'images': " in result.err and "\x1b" not in result.err
        assert names(emulator) == [] and uploads(emulator) == [], what


def test_unreadable_file(folder, images, start_emulator):
    (images / "volumes" / "secret").write_text("x")
    (images / "volumes" / "secret").chmod(0)
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    emulator = start_emulator(seed=SEED)
    result = emulator.run(*drop, SAVE, "--from", "images", POINTER)
    assert result.status == 1, result
    assert "folder 'images': 'volumes/secret': cannot read it: Permission denied" in result.err
    assert names(emulator) == []


def test_wrong_use(folder, images, start_emulator):
    emulator = start_emulator(seed={"buckets": {"snapshots": {"objects": {
        "other.json": {"text": "{}"}, "sets/here/manifest.json": {"text": "{}"}}}}})
    cases = [
        (["--from", "none", "gs://snapshots/c.json"], 2, "folder 'none'"),
        (["--from", "necoops.yaml", "gs://snapshots/c.json"], 2, "folder 'necoops.yaml'"),
        (["--from", "images", "gs://snapshots/c.tar"], 2, "is no pointer to sets"),
        (["--from", "images", "gs://snapshots/other.json"], 1, "is there and is no pointer to sets"),
        (["--from", "images", "--name", "../x", "gs://snapshots/c.json"], 2, "is no name for a set"),
        (["--from", "images", "--name", "here", "gs://snapshots/c.json"], 1,
         "there is a set 'here' already"),
        (["--from", "images", "--level", "20", "gs://snapshots/c.json"], 2, "level"),
        (["--from", "images"], 2, "snapshot.save.to"),
        (["gs://snapshots/c.json"], 2, "snapshot.to"),
        (["--from", "images", "gs://nobody/c.json"], 1, "nobody"),
    ]
    for argv, status, message in cases:
        result = emulator.run(SAVE, *argv)
        assert result.status == status and message in result.err, (argv, result)
        assert len(result.err.splitlines()) <= 3, result
    assert emulator.calls("POST", "/storage") == []


def test_dry_run(folder, images, start_emulator):
    emulator = start_emulator(seed=SEED)
    result = save(emulator, "--dry-run")
    assert result.status == 0 and "would pack 10 entries of 'images': " in result.out, result
    assert emulator.calls("POST", "/storage") == []


# ---- faults ----

ON_EACH = {"reset": "reset", "lost answer": "reset,after", "close": "close", "503": "status=503",
           "429": "status=429,retry-after=1", "html": "html=502"}


@pytest.mark.parametrize("fault", ON_EACH)
def test_faults_are_survived(folder, images, start_emulator, fault):
    where = ["method=POST,path=/upload/*,query=*parts*,n=2",
             "method=POST,path=*/compose,n=1", "method=POST,path=/upload/*,query=*manifest.json*,n=1",
             "method=POST,path=/upload/*,query=*current.json*,n=1", "method=DELETE,n=2"]
    emulator = start_emulator(seed=SEED, faults=[f"{w},{ON_EACH[fault]}" for w in where])
    result = save(emulator, "--name", "one")
    assert result.status == 0, result
    assert len([e for e in emulator.log() if "fault" in e]) == len(where)
    assert names(emulator) == ["dc/current.json", "dc/sets/one/manifest.json",
                               "dc/sets/one/snapshot.tar.zst"]
    load(emulator)
    assert listing(folder / "dest") == listing(images)


FINAL = {"upload": ("method=POST,path=/upload/*,query=*parts*,n=2", "storage.objects.create"),
         "join": ("method=POST,path=*/compose", "storage.objects.create"),
         "manifest": ("method=POST,path=/upload/*,query=*manifest*", "storage.objects.create")}


@pytest.mark.parametrize("where", FINAL)
def test_nothing_is_left_of_a_failure(folder, images, start_emulator, where):
    rule, permission = FINAL[where]
    emulator = start_emulator(seed=SEED, faults=[f"{rule},count=0,status=403"])
    result = save(emulator)
    assert result.status == 4 and permission in result.err, result
    assert names(emulator) == []


def test_the_pointer_cannot_be_moved(folder, images, start_emulator):
    rule = "method=POST,path=/upload/*,query=*current.json*,count=0,status=403"
    emulator = start_emulator(seed=SEED, faults=[rule])
    result = save(emulator, "--name", "one")
    assert result.status == 4, result
    assert "the set is whole at 'gs://snapshots/dc/sets/one/manifest.json', but is not current" \
        in result.err
    assert names(emulator) == ["dc/sets/one/manifest.json", "dc/sets/one/snapshot.tar.zst"]


def test_stored_bytes_are_held_against_what_was_sent(folder, images, start_emulator):
    rule = "method=POST,path=/upload/*,query=*parts*,n=1,status=200,body=" + json.dumps(
        {"bucket": "snapshots", "name": "x", "generation": "1", "size": "1", "crc32c": "AAAAAA=="}
    ).replace(",", "\\,")
    emulator = start_emulator(seed=SEED, faults=[rule])
    result = save(emulator)
    assert result.status == 1 and "what was stored is not what was sent" in result.err, result
    assert names(emulator) == []


@pytest.fixture
def waiting(folder):
    """Starts a save that waits, once it has looked and has its name; `go` lets it go on."""
    (folder / "wait").write_text(f"#!/bin/sh\n: >{folder}/waits\n"
                                 f"while [ ! -e {folder}/go ]; do sleep 0.02; done\n")
    (folder / "wait").chmod(0o755)

    def start(emulator, *options):
        run = emulator.start(SAVE, "--from", "images", "--set",
                             f"snapshot.save.before=[[{folder}/wait]]", *options, POINTER)
        wait_for((folder / "waits").exists)
        return run
    yield start
    (folder / "go").touch()


def test_the_pointer_is_moved_by_another(folder, images, start_emulator, waiting):
    emulator = start_emulator(seed=SEED)
    (folder / "other").mkdir()
    first = waiting(emulator, "--name", "one")
    second = emulator.run(SAVE, "--from", "other", "--name", "two", POINTER)
    assert second.status == 0, second
    (folder / "go").touch()
    result = first.end()
    assert result.status == 0, result
    assert [p["manifest"] for p in pointer(emulator)] == ["sets/one/manifest.json",
                                                          "sets/two/manifest.json"]
    assert len([e for e in emulator.calls("POST", "/upload/") if e["status"] == 412]) == 1


def test_two_at_once(folder, images, start_emulator, waiting):
    emulator = start_emulator(seed=SEED)
    run = waiting(emulator)
    result = save(emulator)
    assert result.status == 5 and "another run is saving 'images'" in result.err, result
    (folder / "go").touch()
    result = run.end()
    assert result.status == 0, result
    assert len(pointer(emulator)) == 1


# ---- ends ----

SLOW = "method=POST,path=/upload/*,query=*parts*,count=0,delay=300ms"
# Two connections: both stand still once four parts are stored.
STUCK = "method=POST,path=/upload/*,query=*parts*,n=5,count=2,delay=20s"


def started(emulator, *options):
    """A save with two connections and small parts."""
    return emulator.start(SAVE, "--from", "images", "--connections", "2", "--set",
                          "snapshot.partSize=65536", *options, POINTER)


def parts(emulator):
    """Those that are stored."""
    return [n for n in names(emulator) if "/parts/" in n]


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(folder, images, start_emulator, number, status):
    noise(images / "noise", 8_000_000)
    emulator = start_emulator(seed=SEED, faults=[SLOW])
    run = started(emulator, "--set", f"snapshot.save.after=[[touch, {folder}/again]]")
    wait_for(lambda: len(parts(emulator)) >= 2)
    run.signal(number)
    result = run.end()
    assert result.status == status, result
    assert names(emulator) == []
    assert (folder / "again").exists()


def kill_one(emulator, *options):
    """A save that was killed in the middle; how many parts it left."""
    run = started(emulator, *options)
    wait_for(lambda: (emulator.folder / "emulator.err").read_text().count("hits POST") == 2)
    run.signal(signal.SIGKILL)
    run.process.wait()
    return len(parts(emulator))


def test_killed_and_run_again(folder, images, start_emulator):
    noise(images / "noise", 2_000_000)
    emulator = start_emulator(seed=SEED, faults=[STUCK])
    left = kill_one(emulator)
    sets = {n.split("/")[2] for n in names(emulator)}
    assert len(sets) == 1 and "dc/current.json" not in names(emulator)
    result = save(emulator, "--set", "snapshot.partSize=65536", "-o", "json")
    assert result.status == 0 and "going on with the set" in result.err, result
    assert result.json["set"] in sets and result.json["reusedBytes"] >= left * 65536 - 65536
    assert result.json["reusedBytes"] + result.json["sentBytes"] == result.json["bytes"]
    assert len(names(emulator)) == 3
    load(emulator)
    assert listing(folder / "dest") == listing(images)


def test_killed_and_saved_under_another_name(folder, images, start_emulator):
    noise(images / "noise", 2_000_000)
    emulator = start_emulator(seed=SEED, faults=[STUCK])
    assert kill_one(emulator, "--name", "one") >= 2
    result = save(emulator, "--name", "two")
    assert result.status == 0 and "deleting what a killed run left of the set 'one'" in result.err
    wait_for(lambda: len(names(emulator)) == 3)
    assert [n for n in names(emulator) if "/one/" in n] == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_time(folder, images, start_emulator, seed):
    noise(images / "noise", 3_000_000)
    emulator = start_emulator(seed=SEED, faults=[SLOW.replace("300ms", "20ms")])
    chance = random.Random(seed)
    whole = 0
    for _ in range(10):
        run = started(emulator)
        try:
            run.process.wait(chance.uniform(0.02, 1.5))
        except subprocess.TimeoutExpired:
            run.signal(signal.SIGKILL)
            run.process.wait()
        there = names(emulator)
        if "dc/current.json" in there:  # what it names can be loaded at any time
            load(emulator)
            assert listing(folder / "dest") == listing(images)
        whole = len([n for n in there if n.endswith("manifest.json")])
    result = save(emulator, "--set", "snapshot.partSize=65536")
    assert result.status == 0, result
    assert len(names(emulator)) == 2 * (whole + 1) + 1
    load(emulator)
    assert listing(folder / "dest") == listing(images)


# ---- commands, and what the manifest says of the machine ----

def test_commands(folder, images, start_emulator):
    (folder / "run").write_text(f"#!/bin/sh\necho \"$*\" >>{folder}/called\n"
                                "[ \"$1\" != fail ] || { echo 'no such unit' >&2; exit 5; }\n")
    (folder / "run").chmod(0o755)
    emulator = start_emulator(seed=SEED)

    def with_commands(before, after):
        (folder / "called").write_text("")
        result = save(emulator, "--set", f"snapshot.save.before=[[{folder}/run, {before}]]",
                      "--set", f"snapshot.save.after=[[{folder}/run, {after}]]")
        return result, (folder / "called").read_text().splitlines()

    result, called = with_commands("stop", "start")
    assert result.status == 0 and called == ["stop", "start"], (result, called)
    sets = names(emulator)
    result, called = with_commands("fail", "start")
    assert result.status == 1 and "snapshot.save.before" in result.err, result
    assert "no such unit" in result.err and called == ["fail", "start"]
    assert names(emulator) == sets
    result, called = with_commands("stop", "fail")
    assert result.status == 1 and called == ["stop", "fail"], (result, called)
    assert "the set is saved, but: snapshot.save.after" in result.err
    assert len(pointer(emulator)) == 2
    os.mkfifo(images / "pipe")
    result, called = with_commands("stop", "start")
    assert result.status == 1 and called == ["stop", "start"], (result, called)


def certificate(folder, days):
    """A certificate of so many days."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", "/dev/null", "-out", f"{days}.pem", "-subj", "/CN=x",
                    "-days", str(days)], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    return (folder / f"{days}.pem").read_text()


@pytest.fixture
def metadata_server():
    """What an instance's metadata server says of its machine."""
    class Handler(http.server.BaseHTTPRequestHandler):
        """Anything that is asked."""

        def do_GET(self):
            self.send_response(200)
            self.send_header("Metadata-Flavor", "Google")
            self.end_headers()
            self.wfile.write(b"Intel Skylake")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_facts(folder, images, start_emulator, metadata_server):
    (folder / "ca.pem").write_text(certificate(folder, 30) + certificate(folder, 20))
    tools = folder / "tools"
    tools.mkdir()
    for name, text in (("placemat", "placemat version 2.4.1"),
                       ("qemu-system-x86_64", "QEMU emulator version 7.2.11 (Debian 1:7.2)")):
        (tools / name).write_text(f"#!/bin/sh\necho '{text}'\n")
        (tools / name).chmod(0o755)
    emulator = start_emulator(seed=SEED)
    path = {"PATH": f"{tools}:{BIN}:{os.environ['PATH']}", "GCE_METADATA_HOST": metadata_server}
    result = save(emulator, "--name", "one", "--set", "snapshot.save.certificates=[ca.pem, 30.pem]",
                  env=path)
    assert result.status == 0, result
    manifest = json.loads(read(emulator, "dc/sets/one/manifest.json"))
    assert manifest["qemuVersion"] == "7.2.11" and manifest["placematVersion"] == "2.4.1"
    assert manifest["cpuPlatform"] == "Intel Skylake"
    end = calendar.timegm(time.strptime(manifest["certificatesExpire"], "%Y-%m-%dT%H:%M:%SZ"))
    assert 19 * 86400 < end - time.time() < 21 * 86400
    result = save(emulator, "--set", "snapshot.save.certificates=[images/link]", env=path)
    assert result.status == 1 and "holds no certificate" in result.err, result
    assert len(names(emulator)) == 3


# ---- old sets ----

def later(hours):
    """The beginning of a command line that runs so much later."""
    return [which("faketime"), "-f", f"+{hours}h"]


def test_old_sets_are_pruned(folder, images, start_emulator):
    emulator = start_emulator(seed={"buckets": {"snapshots": {"objects": {
        "dc/sets/half/parts/0": {"text": "x"}, "dc/sets/half/owner": {"text": "y"},
        "dc/setsbeside": {"text": "z"}}}}})
    for name in ("one", "two", "three", "four"):
        assert save(emulator, "--name", name, "--keep", "1").status == 0
    everything = names(emulator)
    assert len(everything) == 2 * 4 + 1 + 3  # none is a day old
    clock = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "ASAN_OPTIONS": "verify_asan_link_order=0",
             "GOOGLE_OAUTH_ACCESS_TOKEN": emulator.token()}

    def prune(hours, *options):
        return emulator.run(*later(hours), SAVE, "--prune", "-o", "json", *options, POINTER, env=clock)

    result = prune(23, "--keep", "1")
    assert result.status == 0 and result.json["pruned"] == [], result
    result = prune(25, "--keep", "2", "--dry-run")
    assert result.status == 0 and result.json["plan"] == [
        f"would delete the set '{name}'" for name in ("half", "one", "two")], result
    assert names(emulator) == everything
    result = prune(25, "--keep-for", "3d")
    assert result.status == 0 and result.json["pruned"] == ["half"], result
    result = prune(25, "--keep", "2")
    assert result.status == 0 and result.json["pruned"] == ["one", "two"], result
    assert [p["manifest"] for p in pointer(emulator)] == ["sets/four/manifest.json",
                                                          "sets/three/manifest.json"]
    result = prune(100, "--keep", "1", "--keep-for", "1h")
    assert result.status == 0 and result.json["pruned"] == ["three"], result
    result = prune(1000, "--keep-for", "1h")
    assert result.status == 0 and result.json["pruned"] == [], result
    assert names(emulator) == ["dc/current.json", "dc/sets/four/manifest.json",
                               "dc/sets/four/snapshot.tar.zst", "dc/setsbeside"]
    load(emulator)
