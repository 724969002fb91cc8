"""necoops-snapshot-load: what arrives, what is refused, and that nothing else changes."""
import io
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import tarfile

import pytest

from conftest import BIN, PATIENCE, wait_for
from snapshots import (LOAD, PART, images, leftovers, listing, load, media, old, pack, publish,
                       publish_set, seed)


# ---- it arrives ----

@pytest.mark.parametrize("name", ["s.tar", "s.tar.zst", "s.tar.gz", "s.tar.xz", "s.tgz"])
@pytest.mark.parametrize("form", ["gnu", "posix", "dense"])
def test_archive(folder, images, start_emulator, name, form):
    options = {"gnu": ["--format=gnu"], "posix": ["--format=posix"],
               "dense": ["--format=posix", "--hole-detection=raw"]}[form]
    file = pack(images, name.replace(".tgz", ".tar.gz"), folder, *options)
    if name == "s.tgz":
        file = file.rename(folder / name)
    emulator = start_emulator(seed=seed(folder, file))
    result = load(emulator, name, "-o", "json")
    assert result.status == 0, result
    assert listing(folder / "dest") == listing(images)
    root = folder / "dest/volumes/node1/root.img"
    assert root.stat().st_blocks * 512 <= 700_000
    assert (folder / "dest/volumes/node1/zeros.img").stat().st_blocks == 0
    assert (folder / "dest/hard").stat().st_nlink == 2
    assert leftovers(folder) == []
    assert result.json["downloaded"] is True
    assert result.json["files"] == 4 or form != "posix"
    assert [p["name"] for p in result.json["phases"]] == ["look", "download", "exchange"]
    for entry in media(emulator):
        assert entry["status"] == 206
        assert entry["query"]["generation"] == result.json["generation"]


def test_file_in_parts(folder, start_emulator):
    data = random.Random(1).randbytes(1_000_000) + bytes(500_000) + b"end"
    (folder / "disk.img").write_bytes(data)
    emulator = start_emulator(seed=seed(folder, folder / "disk.img"))
    result = load(emulator, "disk.img", "--connections", "3")
    assert result.status == 0, result
    assert (folder / "dest/disk.img").read_bytes() == data
    assert (folder / "dest/disk.img").stat().st_blocks * 512 < 1_100_000
    assert len(media(emulator)) == -(-len(data) // PART)
    assert "downloaded 1.4 MiB" in result.out


def test_what_is_there_is_replaced_at_once(folder, images, start_emulator):
    (folder / "dest").mkdir()
    (folder / "dest" / "old").write_text("old")
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar.zst", folder)))
    assert load(emulator, "s.tar.zst").status == 0
    assert listing(folder / "dest") == listing(images)


def test_only_what_a_snapshot_made_is_replaced(folder, images, start_emulator):
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar", folder)))
    argv = [LOAD, "--loader", "none", "--to", "dest", "gs://snapshots/s.tar"]
    (folder / "dest").mkdir()
    assert emulator.run(*argv).status == 0  # an empty one is nobody's
    publish(emulator, "s.tar", (folder / "s.tar").read_bytes())
    (folder / "dest" / "more").write_text("of the VMs")
    assert emulator.run(*argv).status == 0  # the same folder, a newer generation
    assert listing(folder / "dest") == listing(images)
    publish(emulator, "s.tar", (folder / "s.tar").read_bytes())
    (folder / "dest").rename(folder / "elsewhere")
    (folder / "dest").mkdir()
    (folder / "dest" / "thesis").write_text("the only copy")
    before = len(media(emulator))
    for options in ([], ["--dry-run"]):
        result = emulator.run(*argv, *options)
        assert result.status == 2, result
        assert "is not empty, and no snapshot made it" in result.err
        assert "--replace" in result.err
    assert (folder / "dest" / "thesis").read_text() == "the only copy"
    assert len(media(emulator)) == before and leftovers(folder) == []
    assert emulator.run(*argv, "--replace").status == 0
    assert listing(folder / "dest") == listing(images)


def test_same_generation_is_not_downloaded_again(folder, images, start_emulator):
    file = pack(images, "s.tar.zst", folder)
    emulator = start_emulator(seed=seed(folder, file))
    assert load(emulator, "s.tar.zst").status == 0
    first = len(media(emulator))
    result = load(emulator, "s.tar.zst", "-o", "json")
    assert result.status == 0 and result.json["downloaded"] is False, result
    assert len(media(emulator)) == first
    (folder / "dest/volumes/node1/text").unlink()
    result = load(emulator, "s.tar.zst", "-o", "json")  # no longer whole
    assert result.status == 0 and result.json["downloaded"] is True, result
    assert listing(folder / "dest") == listing(images)


def test_dry_run(folder, images, start_emulator):
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar", folder)))
    result = load(emulator, "s.tar", "--dry-run")
    assert result.status == 0 and "would download 'gs://snapshots/s.tar'" in result.out, result
    assert not (folder / "dest").exists()
    assert media(emulator) == []


# ---- it is refused, and nothing changes ----

def entry(name, **fields):
    """One member of a tar archive."""
    info = tarfile.TarInfo(name)
    content = fields.pop("content", b"")
    for key, value in fields.items():
        setattr(info, key, value)
    info.size = len(content)
    return info, content


HOSTILE = {
    "absolute": ([entry("/etc/necoops-was-here")], "path is absolute"),
    "dotdot": ([entry("a/../../x")], "path leaves the destination with '..'"),
    "through a link": ([entry("d", type=tarfile.DIRTYPE, mode=0o755),
                        entry("l", type=tarfile.SYMTYPE, linkname="d"), entry("l/x")],
                       "path leads through 'l', which is no folder"),
    "link out": ([entry("l", type=tarfile.SYMTYPE, linkname="../.."), entry("l/x")],
                 "link leads out of the destination"),
    "absolute link": ([entry("l", type=tarfile.SYMTYPE, linkname="/tmp")],
                      "link leads to an absolute path"),
    "hard link out": ([entry("h", type=tarfile.LNKTYPE, linkname="../../etc/passwd")],
                      "path leaves the destination with '..'"),
    "hard link to nothing": ([entry("h", type=tarfile.LNKTYPE, linkname="x")],
                             "hard link to 'x', which is no file that came before"),
    "hard link through a link": ([entry("l", type=tarfile.SYMTYPE, linkname="good"),
                                  entry("h", type=tarfile.LNKTYPE, linkname="l")],
                                 "hard link to 'l', which is no file that came before"),
    "link up within": ([entry("d/e", type=tarfile.DIRTYPE, mode=0o755),
                        entry("d/e/l", type=tarfile.SYMTYPE, linkname="../../..")],
                       "link leads out of the destination"),
    "path of a pax header": ([entry("x", pax_headers={"path": "/etc/necoops-was-here"})],
                             "path is absolute"),
    "capabilities": ([entry("x", pax_headers={"SCHILY.xattr.security.capability": "x"})],
                     "file capabilities are not taken"),
    "setgid folder": ([entry("d", type=tarfile.DIRTYPE, mode=0o2755)],
                      "setuid and setgid bits are not taken"),
    "sparse map beyond the file": ([entry("x", content=b"1\n0\n9999\n".ljust(512, b"\0")
                                          + b"x" * 512,
                                          pax_headers={"GNU.sparse.major": "1",
                                                       "GNU.sparse.minor": "0",
                                                       "GNU.sparse.name": "x",
                                                       "GNU.sparse.realsize": "512"})],
                                   "sparse"),
    "character device": ([entry("n", type=tarfile.CHRTYPE)], "devices are not taken"),
    "block device": ([entry("n", type=tarfile.BLKTYPE)], "devices are not taken"),
    "fifo": ([entry("n", type=tarfile.FIFOTYPE)], "FIFOs are not taken"),
    "setuid": ([entry("su", mode=0o4755)], "setuid and setgid bits are not taken"),
    "setgid": ([entry("su", mode=0o2755)], "setuid and setgid bits are not taken"),
    "control character": ([entry("a\x1b[31mb")], "name has a control character in it"),
    "twice": ([entry("x", content=b"1"), entry("x", content=b"2")],
              "it replaces an entry that came before"),
    "folder for a file": ([entry("x", content=b"1"),
                           entry("x", type=tarfile.DIRTYPE, mode=0o755)], "which is no folder"),
}


def build(path, members):
    """A tar archive of these members."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


def test_hostile_archives(folder, old, start_emulator):
    files = [build(folder / f"{i}.tar", [entry("good", content=b"x" * 9999), *members])
             for i, (members, _) in enumerate(HOSTILE.values())]
    emulator = start_emulator(seed=seed(folder, *files))
    for file, (what, (_, message)) in zip(files, HOSTILE.items()):
        result = load(emulator, file.name)
        assert result.status == 1 and message in result.err, (what, result)
        assert result.err.count("\x1b") == 0
        old()
    assert not pathlib.Path("/etc/necoops-was-here").exists()


def raw_frame(content, head):
    """A zstd frame of one block that is not packed (RFC 8878), under this header."""
    block = (len(content) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + head + block + content


def test_frames_and_sizes_that_lie(folder, images, old, start_emulator):
    tar = pack(images, "s.tar", folder).read_bytes()

    def says(size):
        return b"\x60" + (size - 256).to_bytes(2, "little")

    pieces = [tar[at:at + 60000] for at in range(0, len(tar), 60000)]
    frames = [raw_frame(piece, says(len(piece))) for piece in pieces]
    longer, shorter = tarfile.TarInfo("x"), tarfile.TarInfo("x")
    longer.size = 3000
    cases = {
        "right.tar.zst": (b"".join(frames), None),
        "less.tar.zst": (raw_frame(tar[:300], says(299)), "zstd stream is corrupt"),
        "more.tar.zst": (raw_frame(tar[:300], says(301)), "zstd stream is corrupt"),
        "window.tar.zst": (raw_frame(tar[:300], b"\0\xa8"), "wants a window of 2048 MiB"),
        "dictionary.tar.zst": (raw_frame(tar[:300], b"\x21\x07\xff"), "needs a dictionary"),
        "frame.tar.zst": (b"".join(frames[:-1]), "archive is truncated"),
        "block.tar.zst": (b"".join(frames)[:-1], "zstd stream is truncated"),
        "longer.tar": (longer.tobuf() + b"x" * 512 + bytes(1024), "archive is truncated"),
        "shorter.tar": (shorter.tobuf() + b"x" * 512 + bytes(1024), "the header at byte 512 is none"),
    }
    for name, (data, _) in cases.items():
        (folder / name).write_bytes(data)
    emulator = start_emulator(seed=seed(folder, *(folder / name for name in cases)))
    for name, (_, message) in cases.items():
        if message is None:
            continue
        result = load(emulator, name)
        assert result.status == 1 and message in result.err, (name, result)
        assert f"gs://snapshots/{name}" in result.err.splitlines()[-1], result
        old()
    assert load(emulator, "right.tar.zst").status == 0
    assert listing(folder / "dest") == listing(images)


def test_archives_that_are_not_whole(folder, images, old, start_emulator):
    whole = {name: pack(images, name, folder).read_bytes()
             for name in ("s.tar", "s.tar.zst", "s.tar.gz", "s.tar.xz")}
    cases, files = [], []
    for name, data in whole.items():
        cases += [(f"cut-{name}", data[:len(data) // 2], "truncated"),
                  (f"garbage-{name}", data + b"garbage!", "garbage")]
    cases += [("empty.tar.zst", b"", "is empty"), ("text.tar", b"hello, world\n" * 100, "no tar"),
              ("tiny.tar", b"x", "truncated")]
    for name, data, _ in cases:
        (folder / name).write_bytes(data)
        files.append(folder / name)
    emulator = start_emulator(seed=seed(folder, *files))
    for name, _, message in cases:
        result = load(emulator, name)
        assert result.status == 1 and message in result.err, (name, result)
        assert "empty" in name or "pack it anew" in result.err, (name, result)
        old()


def test_a_bomb_does_not_fit(folder, old, start_emulator):
    free = shutil.disk_usage(folder).free
    member = tarfile.TarInfo("bomb")
    member.size = free + (1 << 30)
    head = member.tobuf(tarfile.GNU_FORMAT)
    (folder / "lies.tar").write_bytes(head + b"x" * 100_000)
    emulator = start_emulator(seed=seed(folder, folder / "lies.tar"))
    result = load(emulator, "lies.tar")
    assert result.status == 1 and "truncated" in result.err, result
    old()


def test_wrong_use(folder, images, start_emulator):
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar", folder)))
    cases = [
        (["--to", "dest", "gs://snapshots/none.tar"], 1, "none.tar"),
        (["--to", "dest", "gs://nobody/x.tar"], 1, "nobody"),
        (["--to", "dest", "http://snapshots/x.tar"], 2, "gs://BUCKET/OBJECT"),
        (["--to", "dest"], 2, "snapshot.source"),
        (["gs://snapshots/s.tar"], 2, "snapshot.to"),
        (["--to", "/", "gs://snapshots/s.tar"], 2, "a folder of its own must be named"),
        (["--to", "/proc", "gs://snapshots/s.tar"], 2, "is a mount point"),
        (["--to", "s.tar", "gs://snapshots/s.tar"], 2, "is no folder"),
        (["--loader", "magic", "gs://snapshots/s.tar"], 2, "magic"),
        (["--connections", "0", "gs://snapshots/s.tar"], 2, "connections"),
    ]
    for argv, status, message in cases:
        result = emulator.run(LOAD, *argv)
        assert result.status == status and message in result.err, (argv, result)
        assert len(result.err.splitlines()) <= 3, result
        assert not (folder / "dest").exists()


# ---- sets: a manifest, and a pointer to manifests ----

@pytest.fixture
def bucket(start_emulator):
    """An emulator with an empty bucket."""
    return start_emulator(seed={"buckets": {"snapshots": {}}})


def test_set_of_several_objects(folder, images, bucket):
    archive = pack(images, "s.tar.zst", folder).read_bytes()
    disk = random.Random(2).randbytes(600_000)
    name = publish_set(bucket, "sets/1", {"s.tar.zst": (archive, None),
                                          "disk": (disk, "volumes/node2/disk.img")},
                       tags=["init"], unpackedBytes="7000000", entries=20)
    result = load(bucket, name, "-o", "json")
    assert result.status == 0, result
    assert (folder / "dest/volumes/node2/disk.img").read_bytes() == disk
    shutil.rmtree(folder / "dest/volumes/node2")
    found, wanted = listing(folder / "dest"), listing(images)
    assert {k: v[3] for k, v in found.items()} == {k: v[3] for k, v in wanted.items()}
    assert result.json["url"] == f"gs://snapshots/{name}"
    assert result.json["bytes"] == len(archive) + len(disk)


def test_pointer(folder, images, bucket):
    old = publish_set(bucket, "sets/1", {"s.tar": (pack(images, "s.tar", folder).read_bytes(), None)})
    (images / "new").write_text("new")
    new = publish_set(bucket, "sets/2", {"s.tar": (pack(images, "s.tar", folder).read_bytes(), None)})
    pointer = {"kind": "necoops.current", "formatVersion": 1,
               "sets": [{"manifest": new}, {"manifest": old}]}
    publish(bucket, "current.json", json.dumps(pointer).encode())
    result = load(bucket, "current.json", "-o", "json")
    assert result.status == 0 and result.json["url"].endswith("sets/2/manifest.json"), result
    assert (folder / "dest/new").exists()
    assert load(bucket, "current.json", "-o", "json").json["downloaded"] is False
    # Half of the new set is gone: the one before it is taken, and that is said.
    bucket.api("DELETE", "/storage/v1/b/snapshots/o/sets%2F2%2Fs.tar")
    result = load(bucket, "current.json", "-o", "json")
    assert result.status == 0 and result.json["url"].endswith("sets/1/manifest.json"), result
    assert "sets/2/manifest.json' is not whole" in result.err
    assert "taking the one before it" in result.err
    assert not (folder / "dest/new").exists()
    bucket.api("DELETE", "/storage/v1/b/snapshots/o/sets%2F1%2Fs.tar")
    result = load(bucket, "current.json")
    assert result.status == 1 and "names no set that can be loaded" in result.err, result
    assert (folder / "dest/link").is_symlink()


FACTS = {
    "expired": ({"certificatesExpire": "2020-01-01T00:00:00Z"},
                "the certificates inside expired at 2020-01-01T00:00:00Z"),
    "larger": ({"unpackedBytes": "1000000"}, "more than the 1000000 bytes"),
    "more entries": ({"entries": 3}, "more than the 3 entries"),
    "more on disk": ({"diskBytes": "400000"}, "more than the 400000 bytes of disk space"),
    "no room": ({"diskBytes": str(1 << 50)}, "no room for the snapshot"),
    "version": ({"formatVersion": 2}, "formatVersion that this necoops does not know"),
    "kind": ({"kind": "other"}, "is no snapshot manifest"),
    "no objects": ({"objects": []}, "'objects' must be a list"),
    "path": ({"objects": [{"name": "s.tar", "generation": "1", "size": "1", "crc32c": "AAAAAA==",
                           "path": "../x"}]}, "path leaves the destination with '..'"),
    "size": ({"objects": [{"name": "s.tar", "generation": "1", "size": "-1",
                           "crc32c": "AAAAAA=="}]}, "each of 'objects' wants"),
}


def test_manifests_that_do_not_hold(folder, images, old, bucket):
    archive = pack(images, "s.tar", folder).read_bytes()
    for number, (what, (facts, message)) in enumerate(FACTS.items()):
        name = publish_set(bucket, f"sets/{number}", {"s.tar": (archive, None)}, **facts)
        result = load(bucket, name)
        assert result.status == 1 and message in result.err, (what, result)
        old()
    for text in (b"", b"{", b"[]", b"null", b"{\"kind\": \"necoops.current\"}"):
        publish(bucket, "broken.json", text)
        result = load(bucket, "broken.json")
        assert result.status == 1 and "broken.json" in result.err, (text, result)
        old()


def test_tag_that_the_set_does_not_have(folder, images, old, bucket):
    archive = pack(images, "s.tar", folder).read_bytes()
    name = publish_set(bucket, "sets/1", {"s.tar": (archive, None)}, tags=["init", "later"])
    result = bucket.run(LOAD, "--to", "dest", "--replace", "--tag", "other",
                        f"gs://snapshots/{name}")
    assert result.status == 1, result
    assert "it has no snapshot 'other', only 'init', 'later'" in result.err
    old()


# ---- ends ----

SLOW = "method=GET,path=/storage/v1/*,query=*alt=media*,count=0,delay=300ms"


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(folder, images, old, start_emulator, number, status):
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar", folder)), faults=[SLOW])
    process = emulator.popen(LOAD, "--loader", "none", "--to", "dest", "--replace",
                             "--connections", "1", "--set", f"snapshot.partSize={PART}",
                             "gs://snapshots/s.tar")
    wait_for(lambda: leftovers(folder))
    wait_for(lambda: len(media(emulator)) >= 1)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, (out, err)
    old()


def test_two_at_once(folder, images, start_emulator):
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar", folder)), faults=[SLOW])
    first = emulator.popen(LOAD, "--loader", "none", "--to", "dest", "gs://snapshots/s.tar")
    wait_for(lambda: leftovers(folder))
    first.send_signal(signal.SIGSTOP)  # it is under way for as long as the second one runs
    result = load(emulator, "s.tar")
    first.send_signal(signal.SIGCONT)
    assert result.status == 5 and "another run is loading into" in result.err, result
    out, err = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0, (out, err)
    assert listing(folder / "dest") == listing(images)


# ---- the load ----

@pytest.fixture
def commands(folder):
    """Stand-ins for pmctl and ckecli, which write down how they were called."""
    tools = folder / "tools"
    tools.mkdir()

    def write(name, text):
        (tools / name).write_text(f"#!/bin/sh\necho \"{name} $*\" >>{folder}/called\n{text}\n")
        (tools / name).chmod(0o755)
    write("pmctl", "[ \"$2\" = list ] && echo '{\"node1\": \"-- init 1G\"}'; exit 0")
    write("service", "exit 0")
    return write


def called(folder):
    """The calls, in order."""
    file = folder / "called"
    return file.read_text().splitlines() if file.exists() else []


def load_vms(emulator, folder, *options, tag="init"):
    """Loads with the stand-ins."""
    return emulator.run(LOAD, "--to", "dest", *(["--tag", tag] if tag else []),
                        "--set", "snapshot.before=[[service, stop, cke]]",
                        "--set", "snapshot.after=[[service, start, cke], [service, start, vault]]",
                        *options, "gs://snapshots/s.tar",
                        env={"PATH": f"{folder}/tools:{BIN}:{os.environ['PATH']}"})


@pytest.fixture
def served(folder, images, start_emulator, commands):
    """An emulator that serves s.tar, with the stand-ins in place."""
    return start_emulator(seed=seed(folder, pack(images, "s.tar", folder)))


def test_commands_in_order(folder, served):
    result = load_vms(served, folder, "-o", "json")
    assert result.status == 0, result
    assert called(folder) == ["service stop cke", "pmctl snapshot load init", "pmctl snapshot list",
                              "service start cke", "service start vault"]
    assert result.json["loaded"] is True and result.json["tag"] == "init"
    assert "whether the cluster is ready was not asked" in result.err
    result = load_vms(served, folder, "-o", "json")  # loaded again, not downloaded again
    assert result.json["downloaded"] is False and result.json["loaded"] is True
    assert len(called(folder)) == 10
    result = load_vms(served, folder, "--if-needed", "-o", "json")
    assert result.status == 0 and result.json["loaded"] is False, result
    assert len(called(folder)) == 10


def test_a_tag_that_does_not_exist(folder, served):
    result = load_vms(served, folder, tag="other")
    assert result.status == 1, result
    assert "after the load: snapshot 'other' does not exist in 'node1'" in result.err
    assert "the files are in place at" in result.err
    result = load_vms(served, folder, "--if-needed", tag="other")  # it was not loaded
    assert result.status == 1, result


def test_command_that_fails(folder, served, commands, images):
    commands("service", "[ $1 = start ] || { echo 'no such unit' >&2; exit 5; }")
    result = load_vms(served, folder)
    assert result.status == 1 and "no such unit" in result.err, result
    assert not (folder / "dest").exists() and leftovers(folder) == []
    commands("service", "[ $1 = stop ] || exit 5")
    result = load_vms(served, folder)
    assert result.status == 1 and "snapshot.after" in result.err, result
    assert listing(folder / "dest") == listing(images)


NEEDED = {
    "load": (["snapshot.load=[loader, x]"], "snapshot.load: command 'loader' not found"),
    "verify": (["snapshot.verify=[lister]"], "snapshot.verify: command 'lister' not found"),
    "before": (["snapshot.before=[[service, stop], [stopper]]"],
               "snapshot.before: command 'stopper' not found"),
    "after": (["snapshot.after=[[/bin/starter]]"],
              "snapshot.after: '/bin/starter' is no program that can be run"),
    "issue": (["snapshot.kubeconfig.issue=[issuer]"],
              "snapshot.kubeconfig.issue: command 'issuer' not found"),
    "monitor": (["snapshot.loader=qmp", "snapshot.qmp.sockets=[vms/*.qmp]", "snapshot.before=[]"],
                "there is no monitor socket 'vms/*.qmp'"),
    "listener": (["snapshot.loader=qmp", "snapshot.qmp.sockets=[dead.qmp]", "snapshot.before=[]"],
                 "cannot connect to 'dead.qmp': Connection refused"),
    "tag": (["snapshot.loader=qmp", "snapshot.qmp.sockets=[x.qmp]", "snapshot.tag=a b"],
            "is none that QEMU's monitor takes"),
}


def test_what_is_needed_is_looked_for_before_the_download(folder, served, old):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead.qmp"))  # nobody listens
    for what, (settings, message) in NEEDED.items():
        options = [word for setting in settings for word in ("--set", setting)]
        result = load_vms(served, folder, "--replace", *options, tag=None)
        assert result.status in (1, 2) and message in result.err, (what, result)
    (folder / "tools" / "pmctl").unlink()
    result = load_vms(served, folder, "--replace")
    assert result.status == 1, result
    assert "snapshot.load: command 'pmctl' not found; nothing was downloaded" in result.err
    assert media(served) == [] and called(folder) == []
    old()


def test_gate(folder, images, start_emulator, commands):
    config = seed(folder, pack(images, "s.tar", folder))
    config["clusters"] = {"neco": {"nodes": 3, "kubeconfig": str(folder / "kubeconfig")}}
    emulator = start_emulator(seed=config)
    commands("ckecli", f"cat {folder}/kubeconfig")
    issue = ["--set", "snapshot.kubeconfig.issue=[ckecli, kubernetes, issue]",
             "--set", "snapshot.kubeconfig.to=issued"]
    result = load_vms(emulator, folder, *issue, "--set", "snapshot.nodes=3", "-o", "json")
    assert result.status == 0, result
    assert result.json["nodesReady"] == 3
    assert (folder / "issued").read_bytes() == (folder / "kubeconfig").read_bytes()
    assert (folder / "issued").stat().st_mode & 0o777 == 0o600
    to_bucket = [*issue[:2], "--set", "snapshot.kubeconfig.to=gs://snapshots/neco.kubeconfig"]
    for _ in range(2):
        assert load_vms(emulator, folder, *to_bucket).status == 0
    status, value = emulator.api("GET", "/storage/v1/b/snapshots/o/neco.kubeconfig")
    assert status == 200 and int(value["size"]) == (folder / "kubeconfig").stat().st_size
    result = load_vms(emulator, folder, *issue, "--set", "snapshot.nodes=4",
                      "--set", "snapshot.gateTimeout=2s")
    assert result.status == 6 and "3 of 4 nodes are Ready" in result.err, result
    commands("ckecli", "echo 'etcd does not answer' >&2; exit 1")
    result = load_vms(emulator, folder, *issue)
    assert result.status == 1 and "etcd does not answer" in result.err, result
