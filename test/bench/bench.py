#!/usr/bin/env python3
"""Ratios against what people use today, side by side in one run.

usage: bench.py BIN [ROW ...]     BIN: folder of the built programs; rows: see rows/

A row prints, for each program, the median of wall and processor time and the peak memory of several
runs taken in turn, then the ratio of each peer to necoops. A peer that is not installed is left out.
This machine's noise moves all of them alike: quote ratios, not seconds. NECOOPS_BENCH_RUNS is how
many runs of each are taken, instead of what the row says.
"""
import atexit
import functools
import importlib
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Sample:
    """What one run of a process cost."""

    def __init__(self, wall, cpu, rss):
        self.wall, self.cpu, self.rss = wall, cpu, rss


@functools.cache
def helper():
    """measure.c, built once a run."""
    folder = tempfile.TemporaryDirectory(prefix="necoops-measure-")
    atexit.register(folder.cleanup)
    program = pathlib.Path(folder.name) / "measure"
    subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-o", program, HERE / "measure.c"], check=True)
    return program


def measure(argv, env, cwd):
    """Runs a process to its end; it must end with 0."""
    cost = helper().with_name("cost")
    done = subprocess.run([helper(), cost, *map(str, argv)], env=env, cwd=cwd,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise SystemExit(f"{argv[0]} ended with {done.returncode}: {done.stderr.decode()}")
    wall, cpu, kib = cost.read_text().split()
    return Sample(float(wall), float(cpu), int(kib) * 1024)


def compare(title, programs, runs, env, cwd, bound=None, clean=None, gib=None):
    """programs: {name: argv}; the first one is ours. Prints the row; returns ratios ours/peer.
    clean, if any, is called after each run. With gib, processor seconds a GiB are shown."""
    runs = int(os.environ.get("NECOOPS_BENCH_RUNS", runs))
    samples = {name: [] for name in programs}
    for turn in range(runs + 1):
        for name, argv in programs.items():
            sample = measure(argv, env, cwd)
            if clean:
                clean()
            if turn:  # the first one warms caches up
                samples[name].append(sample)
    ours = next(iter(programs))
    print(f"\n{title}" + (f"   (bound: {bound})" if bound else ""))
    print(f"  {'':34}{'wall ms':>10}{'cpu ms':>10}{'MiB':>8}"
          + (f"{'cpu s/GiB':>11}" if gib else "") + "   ours / peer: wall, cpu")
    ratios = {}
    for name, list_ in samples.items():
        wall = statistics.median(s.wall for s in list_)
        cpu = statistics.median(s.cpu for s in list_)
        rss = max(s.rss for s in list_)
        text = ""
        if name != ours:
            pair = zip(samples[ours], list_)
            walls, cpus = zip(*((a.wall / b.wall, a.cpu / b.cpu if b.cpu else 0) for a, b in pair))
            ratios[name] = (statistics.median(walls), statistics.median(cpus))
            text = f"   {ratios[name][0]:.2f}, {ratios[name][1]:.2f}"
        print(f"  {name:34}{wall * 1000:10.1f}{cpu * 1000:10.1f}{rss / 2**20:8.1f}"
              + (f"{cpu / gib:11.2f}" if gib else "") + text, flush=True)
    return ratios


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # rows clean up after themselves
    sys.path[:0] = [str(HERE), str(ROOT / "test/cli")]
    os.environ["NECOOPS_BIN"] = str(pathlib.Path(sys.argv[1]).resolve())
    names = sys.argv[2:] or sorted(p.stem for p in (HERE / "rows").glob("[a-z]*.py"))
    for name in names:
        row = importlib.import_module(f"rows.{name}")
        with tempfile.TemporaryDirectory(prefix="necoops-bench-") as folder:
            row.run(sys.modules[__name__], pathlib.Path(folder))


if __name__ == "__main__":
    main()
