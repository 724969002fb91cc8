"""Snapshots for tests: what is packed and served, and what is there after a load."""
import json
import os
import pathlib
import random
import stat
import subprocess
import urllib.parse
import urllib.request

import pytest

from conftest import PATIENCE

PART = 262144
LOAD = "necoops-snapshot-load"


@pytest.fixture
def images(tmp_path):
    """A folder of VM images: holes, noise, text, and small files beside them."""
    top = tmp_path / "images"
    (top / "volumes" / "node1").mkdir(parents=True)
    (top / "snapshots").mkdir()
    noise = random.Random(7)
    with open(top / "volumes" / "node1" / "root.img", "wb") as image:
        for at in (0, 3, 4, 9, 20):
            image.seek(at * 100_000)
            image.write(noise.randbytes(100_000))
        image.truncate(5_000_000)
    (top / "volumes" / "node1" / "zeros.img").write_bytes(bytes(1_000_000))
    (top / "volumes" / "node1" / "text").write_text("some lines\n" * 5000)
    (top / "snapshots" / "init.json").write_text("{}\n")
    os.symlink("volumes/node1/text", top / "link")
    os.link(top / "snapshots" / "init.json", top / "hard")
    os.chmod(top / "snapshots", 0o700)
    return top


def pack(images, name, into, *options):
    """An archive of it, made by the tools people have."""
    tar = subprocess.run(["tar", "-C", images, "--sparse", *options, "-cf", "-", "."],
                         stdout=subprocess.PIPE, check=True).stdout
    packers = {"zst": ["zstd", "-q", "-c"], "gz": ["gzip", "-c"], "xz": ["xz", "-1", "-c"]}
    packer = packers.get(name.rsplit(".", 1)[-1])
    data = subprocess.run(packer, input=tar, stdout=subprocess.PIPE, check=True).stdout \
        if packer else tar
    (into / name).write_bytes(data)
    return into / name


def listing(top):
    """Everything below a folder: kind, mode, size, content or target."""
    found = {}
    for path in sorted(pathlib.Path(top).rglob("*")):
        info = path.lstat()
        kind = stat.S_IFMT(info.st_mode)
        content = os.readlink(path) if path.is_symlink() else \
            path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(top))] = (kind, info.st_mode & 0o7777, int(info.st_mtime),
                                             content)
    return found


def seed(folder, *files):
    """A bucket with these files."""
    objects = {}
    for file in files:
        objects[file.name] = {"file": str(file)}
    return {"buckets": {"snapshots": {"objects": objects}}}


def load(emulator, name, *options, **kwargs):
    """Loads the files of one object into ./dest, whatever that is now."""
    return emulator.run(LOAD, "--loader", "none", "--to", "dest", "--replace", "--set",
                        f"snapshot.partSize={PART}", *options, f"gs://snapshots/{name}", **kwargs)


def media(emulator):
    """The requests for content."""
    return [e for e in emulator.calls("GET") if "media" in json.dumps(e["query"])]


def leftovers(folder):
    """What a load leaves beside the destination while it runs."""
    return [p.name for p in folder.iterdir() if p.name.startswith(".dest") and p.is_dir()]


@pytest.fixture
def old(folder):
    """A destination that must stay as it is."""
    (folder / "dest").mkdir()
    (folder / "dest" / "old").write_text("old")
    before = folder / "dest", (folder / "dest").stat().st_ino, listing(folder / "dest")

    def unchanged():
        assert (folder / "dest").stat().st_ino == before[1]
        assert listing(folder / "dest") == before[2]
        assert leftovers(folder) == []
    return unchanged


def publish(emulator, name, data):
    """Uploads an object as the service's documentation says; what the service says of it."""
    request = urllib.request.Request(
        f"{emulator.url}/upload/storage/v1/b/snapshots/o?uploadType=media&name="
        + urllib.parse.quote(name, safe=""), data=data, method="POST",
        headers={"Authorization": "Bearer " + emulator.token(),
                 "Content-Type": "application/octet-stream"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read())


def publish_set(emulator, folder, parts, **facts):
    """A set below a folder of the bucket: {name: (data, path or None)}; the manifest's URL."""
    listed = []
    for name, (data, path) in parts.items():
        value = publish(emulator, f"{folder}/{name}", data)
        item = {"name": name, **{k: value[k] for k in ("generation", "size", "crc32c")}}
        if path:
            item["path"] = path
        listed.append(item)
    manifest = {"kind": "necoops.snapshot", "formatVersion": 1, "objects": listed, **facts}
    publish(emulator, f"{folder}/manifest.json", json.dumps(manifest).encode())
    return f"{folder}/manifest.json"
