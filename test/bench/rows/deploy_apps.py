"""Many applications of 40 KB, watched while one of them is synced: requests, processor time, memory.

The applications are written as Argo CD would leave them and told to be left alone, so that what is
measured is the deploy; for the one that is synced, this file plays Argo CD."""
import json
import threading

import applied
from racing import SKIP
from test_deploy import APPS, REPO

RESOURCES = 105  # makes 40 KB
ROOT = "argocd-config"


def source(path, revision):
    return {"repoURL": REPO, "targetRevision": revision, "path": path}


def resource(name, n):
    return {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": name,
            "name": f"{name}-part-{n:03}", "status": "Synced", "health": {"status": "Healthy"}}


def result(name, n):
    return {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": name,
            "name": f"{name}-part-{n:03}", "status": "Synced", "syncPhase": "Sync",
            "hookPhase": "Running", "message": f"deployment.apps/{name}-part-{n:03} configured"}


def status(name, path, commit, resources, results):
    return {
        "sync": {"status": "Synced", "revision": commit, "comparedTo": {
            "source": source(path, commit), "destination": destination(name)}},
        "health": {"status": "Healthy"}, "reconciledAt": "2026-01-01T00:00:00Z",
        "sourceType": "Directory", "resources": resources,
        "operationState": {
            "phase": "Succeeded", "message": "successfully synced (all tasks run)",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
            "operation": {"sync": {"revision": commit}, "initiatedBy": {"username": "necoops"}},
            "syncResult": {"revision": commit, "source": source(path, commit),
                           "resources": results}}}


def destination(space):
    return {"server": "https://kubernetes.default.svc", "namespace": space}


def application(name, path, commit, space=None):
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd", "annotations": {SKIP: "true"}},
            "spec": {"project": "default", "source": source(path, commit),
                     "destination": destination(space or name)}}


def fill(place, count):
    """A commit with so many applications, and the cluster as it is when it runs them."""
    names = [f"app-{i:04}" for i in range(count)]
    (place.clone / "many").mkdir()
    for name in names:
        (place.clone / "apps" / name).mkdir(parents=True)
        (place.clone / "apps" / name / "map.yaml").write_text(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {name}}}\n")
        app = application(name, f"apps/{name}", "release")
        del app["metadata"]["annotations"]
        (place.clone / "many" / f"{name}.yaml").write_text(json.dumps(app))
    (place.clone / "app-sync-order.txt").unlink()
    commit = place.commit()
    call = place.connect()

    def create(app):
        call.request("POST", APPS, json.dumps(app), {"Content-Type": "application/json"})
        answer = call.getresponse()
        assert answer.status == 201, answer.read()
        return len(answer.read())

    children = [{"group": "argoproj.io", "version": "v1alpha1", "kind": "Application",
                 "namespace": "argocd", "name": name, "status": "Synced"} for name in names]
    root = application(ROOT, "many", commit, "argocd")
    root["status"] = status("argocd", "many", commit, children, [])
    create(root)
    for name in names:
        app = application(name, f"apps/{name}", commit)
        app["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = (
            f"{ROOT}:argoproj.io/Application:argocd/{name}")
        app["metadata"]["labels"] = {"app.kubernetes.io/instance": ROOT}
        app["status"] = status(name, f"apps/{name}", commit,
                               [resource(name, n) for n in range(RESOURCES)],
                               [result(name, n) for n in range(RESOURCES)])
        size = create(app)
    return names, commit, size


class Player(threading.Thread):
    """Argo CD for one application: ends each operation of ours well."""

    def __init__(self, place, name, commit):
        super().__init__()
        self.place, self.name, self.commit, self.over = place, name, commit, threading.Event()
        self.call, self.lock = place.connect(), threading.Lock()

    def ask(self, method, body=None):
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        with self.lock:
            self.call.request(method, f"{APPS}/{self.name}", json.dumps(body) if body else None,
                              {"Content-Type": kind})
            return json.loads(self.call.getresponse().read())

    def run(self):
        while not self.over.wait(0.02):
            app = self.ask("GET")
            if not app.get("operation"):
                continue
            done = status(self.name, f"apps/{self.name}", self.commit, [], [])
            del done["resources"], done["operationState"]["syncResult"]["resources"]
            done["operationState"]["operation"] = app["operation"]
            self.ask("PATCH", {"operation": None, "status": done})

    def spoil(self):
        """It is to be synced again."""
        self.ask("PATCH", {"spec": {"source": {"targetRevision": "release"}}})


def requests(place, since):
    """How many of ours, without the lease."""
    return len([e for e in place.emulator.log()[since:]
                if "leases" not in e["path"] and not e["path"].endswith("app-0000")])


def row(bench, folder, count):
    with applied.cluster(folder) as place:
        text = (folder / "necoops.yaml").read_text().replace("argocd-config/overlays/gcp", "many")
        (folder / "necoops.yaml").write_text(text)
        names, commit, size = fill(place, count)
        player = Player(place, names[0], commit)
        player.start()
        told = []
        try:
            for stable in (1, 6):
                player.spoil()
                since = len(place.emulator.log())
                sample = bench.measure(
                    ["necoops-deploy", "-c", folder / "necoops.yaml", "--no-check", "--stable-for",
                     f"{stable}s", "--timeout", "2m"], place.env, place.clone)
                told.append((stable, sample, requests(place, since)))
        finally:
            player.over.set()
            player.join()
    for stable, sample, asked in told:
        print(f"  {count:6} of {size / 1000:.0f} KB, held for {stable} s: {asked:4} requests, "
              f"{sample.cpu * 1000:6.0f} ms CPU, {sample.rss / 2**20:5.1f} MiB")


def run(bench, folder):
    print("\napplications under one watch   (bound: 500 in 64 MiB; no more requests for waiting)")
    for count in (10, 100, 500, 2000):
        part = folder / str(count)
        part.mkdir()
        row(bench, part, count)
