"""Two pipelines that deploy different commits to one cluster at random moments: never two at once,
never a wrong 0, and none starves."""
import contextlib
import http.client
import json
import os
import random
import threading
import time

import pytest

from conftest import wait_for
from racing import Race
from test_deploy import APPS, CHILDREN

LEASES = "/apis/coordination.k8s.io/v1/namespaces/argocd/leases"
ROOT_APP = "argocd-config"


class History:
    """Every state of every application, as a watch of the test's own tells it."""

    def __init__(self, place):
        self.states = {}  # name → [(version, object)]
        self.connection = place.connect()
        self.connection.request("GET", f"{APPS}?watch=1&resourceVersion=0&timeoutSeconds=3600")
        self.stream = self.connection.getresponse()
        self.connection.sock.settimeout(None)
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()

    def follow(self):
        with contextlib.suppress(OSError, http.client.HTTPException):  # it is cut at the end
            for line in self.stream:
                app = json.loads(line)["object"]
                name, version = app["metadata"]["name"], int(app["metadata"]["resourceVersion"])
                self.states.setdefault(name, []).append((version, app))

    def end(self, place):
        """Reads on until it has seen the newest state of all."""
        place.patch("web", {"metadata": {"annotations": {"example.com/over": "yes"}}})
        wait_for(lambda: "example.com/over"
                 in self.states["web"][-1][1]["metadata"].get("annotations", {}))
        self.connection.sock.shutdown(2)
        self.thread.join()

    def at(self, name, version):
        return [app for v, app in self.states[name] if v <= version][-1]


def is_live(app, commit):
    status = app["status"]
    return (app.get("operation") is None and app["spec"]["source"]["targetRevision"] == commit
            and status["operationState"]["phase"] == "Succeeded"
            and status["operationState"]["syncResult"]["revision"] == commit
            and status["sync"]["revision"] == commit and status["sync"]["status"] == "Synced"
            and status["health"]["status"] == "Healthy")


def written(place):
    """What was written to the lease and to applications by deploys, in the order in which it took
    effect: (version, kind, commit); kind is "lease" or the application."""
    found = []
    for e in place.emulator.log():
        if e["method"] == "GET" or e["status"] not in (200, 201):
            continue
        version = int(e["response"]["metadata"]["resourceVersion"]) if e.get("response") else None
        if e["path"].startswith(LEASES):
            holder = e["body"]["metadata"]["annotations"].get("necoops.io/holder", "{}")
            found.append((version, "lease", json.loads(holder).get("commit")))
        elif e["path"].startswith(APPS) and e["query"].get("fieldManager") == "necoops":
            assert version, "an application that is too large to be logged"
            info = (e["body"].get("operation") or {}).get("info", [])
            commit = dict((i["name"], i["value"]) for i in info).get("necoops-commit")
            found.append((version, e["body"]["metadata"].get("name", e["path"].rsplit("/")[-1]),
                          commit))
    return sorted(found)


def check_turns(place, history, commits):
    """Only who holds the lease writes, and when it is given back its commit is live."""
    holder, written_by = None, []
    for version, kind, commit in written(place):
        if kind != "lease":
            assert holder, f"{kind} was written while nobody had the lease"
            assert commit in (None, holder), f"{kind} was written by {commit}, not by the holder"
            continue
        if holder and not commit:  # given back
            for name in (ROOT_APP, *CHILDREN):
                assert is_live(history.at(name, version), holder), (name, holder)
            written_by.append(holder)
        assert not (holder and commit and holder != commit), "taken from a holder that was alive"
        holder = commit
    assert sorted(written_by) == sorted(commits)


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.soak)])
def test_two_pipelines_take_turns(folder, start_emulator, rounds):
    seed = int(os.environ.get("NECOOPS_SEED", random.randrange(1 << 30)))
    print("NECOOPS_SEED =", seed)
    place = Race(folder, start_emulator)
    commits = {branch: [place.greet(f"{branch} {i}") for i in range(rounds)]
               for branch in ("red", "blue")}
    assert place.deploy("--revision", commits["red"][0] + "~1").status == 0
    history = History(place)
    before = len(written(place))
    results = []

    def pipeline(branch, dice):
        for commit in commits[branch]:
            time.sleep(dice.random())
            results.append((commit, place.deploy(
                "--revision", commit, "--stable-for", f"{dice.randrange(300)}ms", "--set",
                "deploy.degradedGrace=30s", env={"CIRCLE_BRANCH": branch}, timeout=300)))

    threads = [threading.Thread(target=pipeline, args=(branch, random.Random(seed + i)))
               for i, branch in enumerate(commits)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history.end(place)
    assert len(results) == 2 * rounds
    assert [r for _, r in results if r.status != 0] == []
    first = place.head(commits["red"][0] + "~1")
    check_turns(place, history, [first, *commits["red"], *commits["blue"]])
    assert len(written(place)) > before
