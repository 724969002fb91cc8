"""A deploy and a load through the agent on the instance against the same work done there directly."""
import pathlib
import statistics
import subprocess
import time

import conftest
import emulated

ROUNDS = 5
BOUND = 3.0  # 2 s and one poll interval
CONFIG = """\
  serviceAccount: {email: default, scopes: [devstorage.read_write]}
snapshot:
  source: gs://neco-snapshots/init.tar.zst
  to: /var/scratch/placemat
  nodes: 2
  kubeconfig: {issue: [ckecli, kubernetes, issue], to: "gs://neco-results/kubeconfig"}
apps: {repoURL: "https://github.com/example/rehearsal.git", root: argocd-config}
deploy: {stableFor: 1s}
clusters:
  neco-ops:
    path: argocd-config/overlays/gcp
    kubeconfig: gs://neco-results/kubeconfig
"""


def git(*args, cwd):
    subprocess.run(["git", "-c", "user.name=b", "-c", "user.email=b@example.com", *map(str, args)],
                   cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def make_apps(folder):
    """The rehearsal's apps: a bare repository and a clone."""
    root = pathlib.Path(__file__).resolve().parents[3]
    subprocess.run(["cp", "-r", root / "examples/rehearsal/apps", folder / "first"], check=True)
    git("init", "-q", "-b", "master", cwd=folder / "first")
    git("add", "-A", cwd=folder / "first")
    git("commit", "-qm", "first", cwd=folder / "first")
    git("clone", "-q", "--bare", folder / "first", folder / "apps.git", cwd=folder)
    git("clone", "-q", folder / "apps.git", folder / "clone", cwd=folder)


def make_archive(folder):
    subprocess.run([conftest.BIN / "necoops-emulator", "--write-snapshot", folder / "s", "--nodes",
                    "2", "--image-size", "4M"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["tar", "-C", folder / "s", "--sparse", "--zstd", "-cf",
                    folder / "init.tar.zst", "."], check=True)


def timed(emulator, *argv, cwd):
    begin = time.monotonic()
    done = emulator.run(*argv, cwd=cwd)
    assert done.status == 0, done
    return time.monotonic() - begin


def load(emulator, folder):
    """How long the load took there, by its own phases, and how long for who asked for it."""
    begin = time.monotonic()
    done = emulator.run("necoops-snapshot-load", "--instance", "neco-ops", "-o", "json", cwd=folder)
    took = time.monotonic() - begin
    assert done.status == 0, done
    return sum(phase["milliseconds"] for phase in done.json["phases"]) / 1000, took


def commit(clone):
    git("commit", "-q", "--allow-empty", "-m", "another", cwd=clone)
    git("push", "-q", "origin", "HEAD", cwd=clone)


def report(name, direct, through):
    added = statistics.median(b - a for a, b in zip(direct, through))
    print(f"  {name:10} direct {statistics.median(direct):5.2f} s   through the agent "
          f"{statistics.median(through):5.2f} s   added {added:5.2f} s")


def run(_bench, folder):
    make_apps(folder)
    make_archive(folder)
    objects = {"init.tar.zst": {"file": str(folder / "init.tar.zst")}}
    seed = {"buckets": {"neco-results": {}, "neco-snapshots": {"objects": objects}}}
    mirror = f"https://github.com/example/rehearsal.git={folder / 'apps.git'}"
    with emulated.day(folder, seed=seed, mirrors=[mirror]) as emulator:
        config = folder / "necoops.yaml"
        config.write_text(conftest.CONFIG + CONFIG)
        made = emulator.run("necoops-create", cwd=folder)
        assert made.status == 0, made
        inside = ("--set", "clusters.neco-ops.via=instance")
        clone = folder / "clone"
        times = {"direct": [], "through": []}
        for turn in range(ROUNDS + 1):
            for name, more in (("direct", ()), ("through", inside)):
                commit(clone)
                took = timed(emulator, "necoops-deploy", "-c", config, *more, cwd=clone)
                if turn:
                    times[name].append(took)
        loads = [load(emulator, folder) for _ in range(ROUNDS)]
    print(f"\nthe same work through the agent   (bound: {BOUND:.0f} s more: 2 s and one poll "
          "interval)")
    report("deploy", times["direct"], times["through"])
    report("load", *zip(*loads))
