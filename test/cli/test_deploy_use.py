"""necoops-deploy as a new user meets it: what is wrong is said, with the way out."""
import json
import os
import re
import signal
import xml.etree.ElementTree as ElementTree

import pytest

from test_deploy import CHILDREN, place, rows  # noqa: F401 (a fixture)


# ---- what was not proven ----

def test_live_but_interrupted_is_not_proven(place):  # noqa: F811
    run = place.start("--stable-for", "60s", "--junit", "../j.xml", "-v", "-o", "json")
    for app in CHILDREN:
        run.wait_for(f"{app}: done")
    run.signal(signal.SIGTERM)
    result = run.end()
    assert result.status == 143, result
    words = "live, but not proven: the run ended before it was so for long enough"
    assert [(a["proven"], a["message"]) for a in result.json["apps"]] == [(False, words)] * 4
    suite = ElementTree.parse(place.folder / "j.xml").getroot()
    assert [c.get("name") for c in suite.findall(".//testcase[skipped]")] \
        == ["argocd-config", *CHILDREN]
    assert [c.get("name") for c in suite.findall(".//testcase[error]")] == ["deploy"]


def test_live_for_long_enough_is_proven_though_another_fails(place):  # noqa: F811
    place.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", "example.invalid/web:1")
    place.edit("web/base/deployment.yaml", "spec:", "spec:\n  progressDeadlineSeconds: 1")
    place.commit()
    result = place.deploy("-o", "json", "--junit", "../j.xml", "--stable-for", "1ms")
    assert result.status == 1, result
    assert {a["name"]: a["proven"] for a in result.json["apps"]} \
        == {"argocd-config": True, "namespaces": True, "ops": True, "web": False}
    suite = ElementTree.parse(place.folder / "j.xml").getroot()
    assert not suite.findall(".//testcase[skipped]")
    assert [c.get("name") for c in suite.findall(".//testcase[failure]")] == ["web"]


def test_all_is_proven_at_the_end(place):  # noqa: F811
    result = place.deploy("-o", "json")
    assert result.status == 0 and all(a["proven"] for a in result.json["apps"]), result


# ---- the wrong repository ----

def test_a_root_of_another_repository_is_left_alone(place):  # noqa: F811
    assert place.deploy().status == 0
    before = place.application("argocd-config")["spec"]
    since = len(place.writes())
    for more in ([], ["--dry-run"], ["--restore"]):
        result = place.deploy("--set", "apps.repoURL=https://github.com/example/other.git",
                              "--no-check", "--revision", "0" * 40, *more)
        assert result.status == 2, result
        assert "the root application 'argocd-config' of cluster 'neco-ops' is made from " \
               "'https://github.com/example/rehearsal.git', and apps.repoURL is " \
               "'https://github.com/example/other.git', so nothing was touched" in result.err
    assert place.application("argocd-config")["spec"] == before
    assert place.writes()[since:] == []


def test_another_spelling_is_the_same_repository(place):  # noqa: F811
    assert place.deploy().status == 0
    result = place.deploy("--set", "apps.repoURL=https://GitHub.com/example/rehearsal", "--dry-run")
    assert result.status == 0, result


# ---- the order of sync ----

def test_an_order_that_names_what_is_not_there(place):  # noqa: F811
    (place.clone / "app-sync-order.txt").write_text("# first\nnamespaces\nwbe ops\n\nnamespaces\n")
    place.commit()
    result = place.deploy("--check", "-o", "json")
    assert result.status == 0, result
    words = ["app-sync-order.txt:3: 'argocd-config/overlays/gcp' renders no application 'wbe'",
             "app-sync-order.txt:5: application 'namespaces' has its turn on line 2 already"]
    assert result.json["notes"] == words
    assert all(f"warning: {w}" in result.err for w in words)


# ---- reports in the clone ----

def test_our_own_reports_are_no_changes(place):  # noqa: F811
    args = ["--junit", "out/j.xml", "--events", "out/e.jsonl", "--report", "out/r.html"]
    for _ in range(2):
        result = place.deploy("--check", *args)
        assert result.status == 0 and "not committed" not in result.err, result
    (place.clone / "out/other.txt").write_text("x")
    result = place.deploy("--check", *args)
    assert "changes that are not committed are not deployed: out/other.txt\n" in result.err


# ---- messages with the way out ----

def test_an_empty_revision(place):  # noqa: F811
    result = place.deploy("--revision", "")
    assert result.status == 2, result
    assert "--revision is empty (an unset variable?); leave it out to deploy what CI says, else " \
           "HEAD" in result.err


def test_a_repository_without_a_commit(place):  # noqa: F811
    new = place.folder / "new"
    new.mkdir()
    place.git("init", "-q", cwd=new)
    result = place.emulator.run(*place.argv("--check"), cwd=new)
    assert result.status == 2, result
    assert "has no commit yet; make one, or name another revision" in result.err


def test_a_context_that_is_not_there(place):  # noqa: F811
    result = place.deploy("--set", "clusters.neco-ops.context=nope")
    assert result.status == 2, result
    assert "kubeconfig: there is no context 'nope'; it has 'ci'" in result.err


def test_an_empty_name_of_a_cluster(place):  # noqa: F811
    result = place.deploy("--cluster", "")
    assert result.status == 2, result
    assert "--cluster wants a name; the configuration has 'neco-ops', 'stage', 'bk'" in result.err


def test_a_key_that_is_the_name_of_a_file(place):  # noqa: F811
    result = place.deploy("--set", "project=p", "--set", "zones=a",
                          env={"GCLOUD_SERVICE_KEY": "/secrets/key.json"})
    assert result.status == 4, result
    assert "GCLOUD_SERVICE_KEY holds neither the JSON of a credential nor base64 of it; it looks " \
           "like the name of a file: that goes into GOOGLE_APPLICATION_CREDENTIALS" in result.err
    assert "/secrets" not in result.err


def test_who_does_not_want_to_wait_takes_what_is_free(place):  # noqa: F811
    result = place.deploy("--lock-timeout", "0s")
    assert result.status == 0, result


def test_who_does_not_want_to_wait_is_told_the_name(place):  # noqa: F811
    holder = place.start("--stable-for", "60s", "-v", env={"CIRCLE_BUILD_URL": "https://ci/job/9"})
    holder.wait_for("web: done")
    result = place.deploy("--lock-timeout", "0s")
    assert result.status == 5, result
    assert "the cluster is held by https://ci/job/9 (commit " in result.err
    holder.signal(signal.SIGTERM)
    holder.end()


def test_a_configuration_of_git_that_cannot_be_read(place):  # noqa: F811
    home = place.folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[broken\n")
    result = place.deploy("--check", env={"HOME": str(home)})
    assert result.status == 2, result
    assert f"(in {home}/.gitconfig:1); mend or remove Git's configuration (HOME is '{home}'), or " \
           "set HOME to a folder without one" in result.err


# ---- a tunnel that dies ----

def tunnel(place, command):  # noqa: F811
    """A kubeconfig of a port where nobody listens yet, and the command as tunnel."""
    text = (place.folder / "kubeconfig").read_text()
    (place.folder / "through").write_text(
        re.sub(r"server: .*", "server: https://127.0.0.1:1", text))
    return ["--set", f"clusters.neco-ops.tunnel=[sh, -c, {json.dumps(command)}]",
            "--set", f"clusters.neco-ops.kubeconfig={place.folder / 'through'}"]


def test_a_tunnel_that_cannot_start(place):  # noqa: F811
    result = place.deploy(*tunnel(place, "echo no route to the bastion >&2; exit 3"))
    assert result.status not in (0, 6), result
    assert "no route to the bastion" in result.err
    assert "its tunnel ended with status 3: 'sh -c echo no route" in result.err
    assert "run it by hand (clusters.neco-ops.tunnel)" in result.err


FORWARD = r'''
import os, select, socket, sys
target, port, pid = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
listener = socket.create_server(("127.0.0.1", port))
with open(pid + ".new", "w") as out:
    out.write(str(os.getpid()))
os.rename(pid + ".new", pid)
pairs = {}
while True:
    for ready in select.select([listener, *pairs], [], [])[0]:
        if ready is listener:
            near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", target))
            pairs[near], pairs[far] = far, near
            continue
        if ready not in pairs:
            continue
        try:
            data = ready.recv(65536)
        except OSError:
            data = b""
        other = pairs[ready]
        if data:
            other.sendall(data)
        else:
            del pairs[ready], pairs[other]
            ready.close(), other.close()
'''


@pytest.fixture
def forwarded(place):  # noqa: F811
    """The API server is reached through a forwarder only, whose process id stands in `pid`."""
    text = (place.folder / "kubeconfig").read_text()
    target = re.search(r"server: https://127.0.0.1:(\d+)", text).group(1)
    port = 20000 + os.getpid() % 12000  # no system hands these out by itself
    (place.folder / "through").write_text(text.replace(f"127.0.0.1:{target}", f"127.0.0.1:{port}"))
    (place.folder / "forward.py").write_text(FORWARD)
    command = ["/usr/bin/python3", str(place.folder / "forward.py"), target, str(port),
               str(place.folder / "pid")]
    place.through = ["--set", f"clusters.neco-ops.tunnel={json.dumps(command)}",
                     "--set", f"clusters.neco-ops.kubeconfig={place.folder / 'through'}"]
    return place


def test_a_tunnel_that_breaks_is_started_again(forwarded):
    place = forwarded  # noqa: F811
    run = place.start(*place.through, "--stable-for", "3s", "-v")
    run.wait_for("web: done")
    os.kill(int((place.folder / "pid").read_text()), signal.SIGKILL)
    result = run.end()
    assert result.status == 0, result
    assert "the tunnel of cluster 'neco-ops' ended with status 137; starting it again" in result.err
    assert {row[0] for row in rows(result).values()} == {place.head()[:12]}
