"""necoops-snapshot-load and the disk: what a killed run leaves is gone on with; a full disk is told."""
import json
import random
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

from conftest import BIN, clean_environ, wait_for
from snapshots import (LOAD, PART, images, leftovers, listing, media, pack, publish_set, seed)

CONNECTIONS = 2
SLOW = "method=GET,query=*alt=media*,count=0,delay=30ms"


# ---- killed ----

def pack_frames(tar, file):
    """Independent frames, each of which says how much it holds."""
    with open(file, "wb") as out:
        for at in range(0, len(tar), PART):
            piece = tar[at:at + PART]
            out.write(subprocess.run(["zstd", "-q", "-c", f"--stream-size={len(piece)}"],
                                     input=piece, stdout=subprocess.PIPE, check=True).stdout)


def lay_out(folder, images, name):
    """The object of this name: an archive as it is, in frames, or a plain file."""
    (images / "more.img").write_bytes(random.Random(5).randbytes(3_000_000))
    with open(images / "more.img", "r+b") as image:
        image.truncate(4_000_000)
    tar = pack(images, "s.tar", folder).read_bytes()
    if name == "frames.tar.zst":
        pack_frames(tar, folder / name)
    elif name == "disk.img":
        (folder / name).write_bytes(tar)


def finished(folder, size):
    """Bytes that need not come again, as the record of finished parts says: [first, end) each."""
    spans = []
    try:
        lines = (folder / ".dest.necoops" / "journal").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return spans
    for line in map(json.loads, lines):
        if line["is"] == "part":
            at = line["index"] * PART
            spans.append((at, min(at + PART, size)))
        elif line["is"] == "place":
            spans = [(0, line["offset"])]
    return spans


def asked(entry):
    """The bytes that a request wants: [first, end)."""
    first, last = entry["headers"]["Range"][len("bytes="):].split("-")
    return int(first), int(last) + 1


class Killer:
    """Ends loads with SIGKILL at random moments."""

    def __init__(self, emulator, name, chance):
        self.emulator, self.name, self.chance = emulator, name, chance
        self.folder = emulator.folder
        self.size = (self.folder / name).stat().st_size
        self.kills = 0

    def moment(self, process):
        """Waits for one: a time, a number of requests, or a number of lines in the record."""
        kind = self.chance.choice(["time", "requests", "record"])
        if kind == "time":
            time.sleep(self.chance.uniform(0, 0.25))
            return
        wanted = self.chance.randint(1, 9)
        before = len(media(self.emulator))
        known = len(finished(self.folder, self.size))

        def reached():
            if process.poll() is not None:
                return True
            if kind == "requests":
                return len(media(self.emulator)) >= before + wanted
            spans = finished(self.folder, self.size)
            return len(spans) > known or (spans and self.name != "disk.img")
        wait_for(reached)

    def run(self, end_it):
        """One load; what it was asked for must not be there already."""
        done = finished(self.folder, self.size)
        seen = len(media(self.emulator))
        process = self.emulator.popen(LOAD, "--loader", "none", "--to", "dest", "--connections",
                                      CONNECTIONS, "--set", f"snapshot.partSize={PART}",
                                      f"gs://snapshots/{self.name}")
        if end_it:
            self.moment(process)
            process.kill()
        _, err = process.communicate(timeout=120)
        for first, end in map(asked, media(self.emulator)[seen:]):
            for there, until in done:
                assert end <= there or until <= first, (first, end, done, err)
        if process.returncode == -signal.SIGKILL:
            self.kills += 1
            return False
        assert process.returncode == 0, err
        return True


def check_tree(folder, images, name):
    """Byte for byte what was packed, holes included; nothing else is left."""
    if name == "disk.img":
        assert (folder / "dest" / name).read_bytes() == (folder / name).read_bytes()
    else:
        assert listing(folder / "dest") == listing(images)
        for path in images.rglob("*.img"):
            made = folder / "dest" / path.relative_to(images)
            assert made.stat().st_blocks <= path.stat().st_blocks, path
    assert leftovers(folder) == []


def kill_and_run_again(folder, images, start_emulator, name, kills, number):
    """So many kills, each followed by another run, over as many whole loads as that takes."""
    lay_out(folder, images, name)
    emulator = start_emulator(seed=seed(folder, folder / name), faults=[SLOW])
    killer = Killer(emulator, name, random.Random(number))
    loads = 0
    while killer.kills < kills or loads == 0:
        if killer.run(killer.kills < kills):
            loads += 1
            check_tree(folder, images, name)
            shutil.rmtree(folder / "dest")
    if not killer.run(False):
        raise AssertionError("a run that was left in peace did not end")
    check_tree(folder, images, name)
    came = sum(end - first for first, end in map(asked, media(emulator)))
    if name == "disk.img":  # only what was under way comes again
        assert came <= (loads + 1) * killer.size + kills * CONNECTIONS * PART


NAMES = ["s.tar", "frames.tar.zst", "disk.img"]


@pytest.mark.parametrize("name", NAMES)
def test_killed_and_run_again(folder, images, start_emulator, name):
    kill_and_run_again(folder, images, start_emulator, name, 8, 3)


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_killed_a_hundred_times(folder, images, start_emulator, name):
    kill_and_run_again(folder, images, start_emulator, name, 100, time.time_ns())


@pytest.mark.parametrize("name", ["s.tar.gz", "s.tar.xz", "s.tar.zst"])
def test_a_stream_starts_over_and_says_so(folder, images, start_emulator, name):
    (images / "more.img").write_bytes(random.Random(5).randbytes(1_500_000))
    pack(images, name, folder)
    emulator = start_emulator(seed=seed(folder, folder / name), faults=[SLOW])
    argv = [LOAD, "--loader", "none", "--to", "dest", "--set", f"snapshot.partSize={PART}",
            f"gs://snapshots/{name}"]
    process = emulator.popen(*argv)
    wait_for(lambda: len(media(emulator)) >= 4)
    process.kill()
    process.communicate()
    again = emulator.run(*argv)
    assert again.status == 0, again
    assert "starting over: the run that was killed had finished no part" in again.err, again
    assert "necoops-snapshot-save" in again.err
    check_tree(folder, images, name)


# ---- room ----

IN_SMALL = """
set -e
mkdir small
mount -t tmpfs -o "$1" tmpfs small
shift
mkdir small/dest
echo old >small/dest/old
set +e
"$@"
status=$?
echo "left: $(ls -A small) $(ls -A small/dest)"
exit $status
"""


def load_into_small(emulator, limits, name):
    """Loads into a file system of its own, as small as that."""
    space = ["unshare", "-rm"]
    if subprocess.run([*space, "sh", "-c", "mkdir t && mount -t tmpfs tmpfs t; rmdir t 2>/dev/null"
                       "; umount t && rmdir t"], cwd=emulator.folder,
                      stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no file system can be mounted in a namespace here")
    shutil.rmtree(emulator.folder / "small", ignore_errors=True)
    argv = [*space, "sh", "-c", IN_SMALL, "sh", limits, BIN / LOAD, "--loader", "none", "--to",
            "small/dest", "--replace", f"gs://snapshots/{name}"]
    return subprocess.run([str(a) for a in argv], cwd=emulator.folder, text=True,
                          capture_output=True, env=clean_environ(**emulator.env))


def pack_bomb(file, size):
    """A few kilobytes that unpack to so many bytes that are no zeros."""
    member = tarfile.TarInfo("bomb")
    member.size = size
    head = member.tobuf(tarfile.GNU_FORMAT)
    block = 128 << 10
    with open(file, "wb") as out:  # RFC 8878: a window of 128 KiB, then one raw block and RLE ones
        out.write(b"\x28\xb5\x2f\xfd\x00\x38" + (len(head) << 3).to_bytes(3, "little") + head)
        out.write(((block << 3 | 2).to_bytes(3, "little") + b"A") * (size // block - 1))
        out.write((block << 3 | 2 | 1).to_bytes(3, "little") + b"A")


ROOM = {
    "a bomb": ("size=24m", "bomb.tar.zst", "at least ", "cannot write: No space left on device"),
    "no bytes": ("size=24m", "s.tar", "MiB written", "cannot write: No space left on device"),
    "no files": ("size=64m,nr_inodes=10", "s.tar", "at least ",
                 "cannot make the file: No space left on device"),
    "none to begin with": ("size=24m", "large/manifest.json", "8.0 MiB free, 100.0 MiB needed",
                           "no room for the snapshot beside"),
    "not even that": ("size=16m", "disk.img", " free, 12.0 MiB needed",
                      "no room for the snapshot beside"),
}


def test_a_disk_that_is_full(folder, images, start_emulator):
    noise = random.Random(5).randbytes(12 << 20)
    (images / "more.img").write_bytes(noise)
    (folder / "disk.img").write_bytes(noise)
    pack_bomb(folder / "bomb.tar.zst", 1 << 30)
    emulator = start_emulator(seed=seed(folder, pack(images, "s.tar", folder),
                                        folder / "disk.img", folder / "bomb.tar.zst"))
    publish_set(emulator, "large", {"s.tar": (b"x" * 1000, None)}, diskBytes=str(100 << 20))
    for what, (limits, name, amount, message) in ROOM.items():
        before = len(media(emulator))
        done = load_into_small(emulator, limits, name)
        assert done.returncode == 1, (what, done)
        assert amount in done.stderr and message in done.stderr, (what, done)
        assert done.stdout.endswith("left: dest old\n"), (what, done)
        if " free, " in amount:  # seen before anything came
            asked_for = media(emulator)[before:]
            assert len(asked_for) == (1 if name.endswith(".json") else 0), asked_for
