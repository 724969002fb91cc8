"""A 256 MiB object over a link with 20 ms of delay and 1 Gbit/s, where the kernel can play one."""
import contextlib
import os
import shutil
import subprocess

import served

SIZE = 256 << 20
LINK = ("ip link set lo up && tc qdisc add dev lo root netem delay 10ms rate 1gbit limit 100000 &&"
        " echo up && exec sleep 3600")


@contextlib.contextmanager
def link():
    """A network of its own with such a loopback; yields what a command is started with to be in it,
    or None."""
    holder = subprocess.Popen(["unshare", "-rn", "sh", "-c", LINK], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    try:
        if holder.stdout.readline() == "up\n":
            yield ["nsenter", "-t", str(holder.pid), "-U", "-n", "--preserve-credentials"]
        else:
            print("  skipped: this kernel has no netem, or no network namespaces for us")
            yield None
    finally:
        holder.terminate()
        holder.wait()


def run(bench, _):
    if not served.has_server() or not shutil.which("tc"):
        return
    with served.memory_folder(4 * SIZE) as folder, link() as within:
        if not folder or not within:
            return
        (folder / "media").mkdir()
        (folder / "media" / "object.bin").write_bytes(os.urandom(SIZE))
        with served.served(folder, within=within) as (env, url):
            def ours(connections):
                return [*within, *served.load(folder, "object.bin", connections)]
            bench.compare("256 MiB object, 20 ms away at 1 Gbit/s", {
                "necoops-snapshot-load": ours(8),
                "curl -o (verifies nothing)": [*within, "curl", "-sS", "-o", folder / "out.bin",
                                               url + "/media/object.bin"],
                "ours, 1 connections": ours(1), "ours, 4 connections": ours(4),
                "ours, 16 connections": ours(16)}, 3, env, folder, "at most 1.0 of curl -o",
                served.clean(folder), gib=0.25)
