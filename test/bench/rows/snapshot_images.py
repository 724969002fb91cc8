"""2 GiB of VM images as .tar.zst to tmpfs: half holes, a quarter noise, a quarter text."""
import os
import random
import shutil
import subprocess

import served

IMAGES = 4
BLOCK = 1 << 20
BLOCKS = 512  # of an image


def text_of(size):
    """Lines like those of a log; they pack to a third."""
    chance = random.Random(1)
    words = ("kernel systemd container runtime cgroup mount etcd vault secret token config map "
             "service node volume server pod image disk snapshot network device error info").split()
    lines = []
    while size > 0:
        lines.append("%d %s %08x\n" % (chance.randrange(10**9), " ".join(chance.choices(words, k=7)),
                                       chance.getrandbits(32)))
        size -= len(lines[-1])
    return "".join(lines).encode()


def write_images(folder):
    text = text_of(8 * BLOCK)  # it repeats beyond the window only
    for number in range(IMAGES):
        (folder / f"node{number}").mkdir(parents=True)
        with open(folder / f"node{number}" / "root.img", "wb") as image:
            for block in range(0, BLOCKS, 4):
                image.seek(block * BLOCK)
                image.write(os.urandom(BLOCK))
                at = block // 4 % 8 * BLOCK
                image.write(text[at:at + BLOCK])
            image.truncate(BLOCKS * BLOCK)


def pack(folder, name, *options):
    """An archive as people make it."""
    subprocess.run(f"tar -C images {' '.join(options)} -cf - . | zstd -q -T0 -o media/{name}",
                   shell=True, cwd=folder, check=True)


def pipeline(url, name, *options):
    """What people use today."""
    return ["sh", "-c", f"curl -sS {url}/media/{name} | zstd -dc | tar -x {' '.join(options)} -C out"]


def run(bench, _):
    with served.memory_folder(6 << 30) as folder:
        if not folder or not shutil.which("nginx"):
            return
        (folder / "media").mkdir()
        write_images(folder / "images")
        pack(folder, "holes.tar.zst", "-S")
        pack(folder, "dense.tar.zst")
        subprocess.run("zstd -qdc media/holes.tar.zst >holes.tar", shell=True, cwd=folder, check=True)
        shutil.rmtree(folder / "images")
        with served.served(folder) as (env, url):
            def load(name):
                return ["necoops-snapshot-load", "-q", "--loader", "none", "--to", folder / "out",
                        f"gs://bench/{name}"]
            stages = {
                "one stage: curl": ["curl", "-sS", "-o", "/dev/null", url + "/media/holes.tar.zst"],
                "one stage: zstd": ["sh", "-c", "zstd -dc media/holes.tar.zst >/dev/null"],
                "one stage: tar -xS": ["tar", "-xSf", "holes.tar", "-C", "out"]}
            bench.compare("2 GiB of images, .tar.zst with holes, to tmpfs",
                          {"necoops-snapshot-load": load("holes.tar.zst"),
                           "curl | zstd -dc | tar -xS": pipeline(url, "holes.tar.zst", "-S"),
                           **stages}, 5, env, folder,
                          "0.5 of the pipeline, 1.3 of the slowest stage, 96 MiB",
                          served.clean(folder))
            bench.compare("2 GiB of images, .tar.zst without holes, to tmpfs",
                          {"necoops-snapshot-load": load("dense.tar.zst"),
                           "curl | zstd -dc | tar -x": pipeline(url, "dense.tar.zst")},
                          3, env, folder, "0.5 of the pipeline", served.clean(folder))
