"""2 GiB of VM images as .tar.zst to tmpfs and to disk: half holes, a quarter noise, a quarter text."""
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


def stages(folder, name, url):
    """Each stage alone, and ours with other numbers of connections."""
    subprocess.run(f"zstd -qfdc media/{name} >images.tar", shell=True, cwd=folder, check=True)
    return {"one stage: curl": ["curl", "-sS", "-o", "/dev/null", f"{url}/media/{name}"],
            "one stage: zstd": ["sh", "-c", f"zstd -dc {folder}/media/{name} >/dev/null"],
            "one stage: tar -xS": ["tar", "-xSf", folder / "images.tar", "-C", "out"],
            **{f"ours, {n} connections": served.load(folder, name, n) for n in (1, 4, 16)}}


def run(bench, _):
    with served.memory_folder(8 << 30) as folder:
        if not folder or not served.has_server():
            return
        (folder / "media").mkdir()
        write_images(folder / "images")
        pack(folder, "holes.tar.zst", "-S")
        pack(folder, "dense.tar.zst")
        shutil.rmtree(folder / "images")
        with served.served(folder) as (env, url):
            for where, to in served.places(folder, 4 << 30):
                for name, option in (("holes.tar.zst", "-S"), ("dense.tar.zst", "")):
                    programs = {"necoops-snapshot-load": served.load(to, name),
                                f"curl | zstd -dc | tar -x {option}": pipeline(url, name, option)}
                    if option and to == folder:
                        programs.update(stages(folder, name, url))
                    bench.compare(
                        f"2 GiB of images, {name}, to {where}", programs, 3, env, to,
                        "0.5 of the pipeline, 1.3 of the slowest stage, 96 MiB",
                        served.clean(to), gib=2)
