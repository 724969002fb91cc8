"""Peak memory of a load, whatever the size: 1, 4 and 16 GiB of VM images, mostly holes."""
import os
import subprocess
import tarfile

import served

GIB = 1 << 30


def pack_stream(file, size):
    """An archive of one image without holes in it, of which one part in sixteen is noise."""
    packer = subprocess.Popen(["zstd", "-q", "-1", "-T0", "-fo", file], stdin=subprocess.PIPE)
    member = tarfile.TarInfo("root.img")
    member.size = size
    packer.stdin.write(member.tobuf(tarfile.GNU_FORMAT))
    zeros = bytes(15 << 20)
    for _ in range(size >> 24):
        packer.stdin.write(os.urandom(1 << 20))
        packer.stdin.write(zeros)
    packer.stdin.write(bytes(10240))
    packer.stdin.close()
    assert packer.wait() == 0


def run(bench, _):
    with served.memory_folder(5 * GIB) as folder:
        if not folder or not served.has_server():
            return
        (folder / "media").mkdir()
        for gib in (1, 4, 16):
            pack_stream(folder / "media" / f"{gib}.tar.zst", gib * GIB)
        with served.served(folder) as (env, _):
            for gib in (1, 4, 16):
                bench.compare(f"{gib} GiB of images, mostly zeros, to tmpfs",
                              {"necoops-snapshot-load": served.load(folder, f"{gib}.tar.zst"),
                               "ours, 64 connections": served.load(folder, f"{gib}.tar.zst", 64)},
                              1, env, folder, "96 MiB", served.clean(folder), gib=gib)
