"""necoops-status against the emulator: what it shows, what it asks, and what the doctor says."""
import http.server
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import threading
import time

import pytest

from browser import Browser
from conftest import CONFIG, PATIENCE, QUICK, ROOT, wait_for, which
from test_report import CONTRAST, Page, check as check_page

REPO = "https://git.example.com/neco-apps.git"
CLUSTER = f"""\
schedule: {{timeZone: Asia/Tokyo, up: "07:30", down: "21:00"}}
apps: {{repoURL: "{REPO}"}}
clusters:
  neco-ops: {{path: argocd-config/overlays/gcp, kubeconfig: kube.yaml}}
"""
SETUP = "#!/bin/sh\necho constructing\n"


@pytest.fixture
def day(start_emulator, folder):
    """An emulator with a cluster of the instance's name; the instance is made."""
    (folder / "setup.sh").write_text(SETUP)
    (folder / "necoops.yaml").write_text(CONFIG + "  setup: setup.sh\n" + CLUSTER)

    def start(argocd=None, made=True, **kwargs):
        cluster = {"nodes": 3, "kubeconfig": str(folder / "kube.yaml")}
        if argocd:
            cluster["argocd"] = argocd
        emulator = start_emulator("--run-startup-scripts", timings=QUICK,
                                  seed={"clusters": {"neco-ops": cluster}, **kwargs.pop("seed", {})},
                                  **kwargs)
        if made:
            result = emulator.run("necoops-create")
            assert result.status == 0, result
            wait_for(lambda: nodes_are_ready(emulator))
        return emulator

    return start


def nodes_are_ready(emulator):
    """The cluster has come up."""
    value = emulator.run("necoops-status", "-o", "json").json
    nodes = value.get("cluster", {}).get("nodes", [])
    return nodes and all(node["ready"] for node in nodes)


@pytest.fixture
def apps(folder):
    """The apps of the rehearsal as a repository that the emulator serves."""
    work = folder / "apps"
    shutil.copytree(ROOT / "examples/rehearsal/apps", work)
    for path in work.rglob("*.yaml"):
        path.write_text(re.sub(r"repoURL: .*", f"repoURL: {REPO}", path.read_text()))
    git = ["git", "-C", work, "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "init", "-q", "-b", "master", work], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "apps"], check=True)
    subprocess.run([*git, "remote", "add", "origin", REPO], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", work, folder / "apps.git"], check=True)
    return work


# ---- status ----

def test_no_instance(day):
    emulator = day(made=False)
    result = emulator.run("necoops-status")
    assert result.status == 3, result
    assert result.out == "instance   there is no neco-ops\n"
    assert re.search(r"error: there is no instance 'neco-ops'; the schedule (brings it back on|has)",
                     result.err), result
    shown = emulator.run("necoops-status", "-o", "json")
    assert shown.status == 3 and shown.json["instance"] is None
    assert shown.json["timeline"] == [] and shown.json["problems"] == []


def test_everything_is_asked_once(day):
    emulator = day()
    before = len(emulator.log())
    result = emulator.run("necoops-status", "-o", "json")
    assert result.status == 0, result
    asked = [(e["method"], e["path"].rpartition("neco-test/")[2]) for e in emulator.log()[before:]
             if e["path"].startswith("/compute/")]
    instance = emulator.instances()[0]
    zone = "zones/asia-northeast1-"
    assert asked == [("GET", "aggregated/instances"),
                     ("GET", f"{zone}c/instances/{instance['id']}/serialPort"),
                     ("GET", f"{zone}c/instances/{instance['id']}/getGuestAttributes"),
                     ("GET", f"{zone}c/instances/neco-ops"),
                     ("GET", f"{zone}c/operations"), ("GET", f"{zone}b/operations")]
    value = result.json
    assert value["instance"]["id"] == instance["id"]
    assert value["instance"]["zone"] == "asia-northeast1-c"
    assert value["instance"]["status"] == "RUNNING"
    assert value["instance"]["machineType"] == "n1-highmem-8"
    assert value["instance"]["softEnd"] < value["instance"]["hardEnd"]
    assert value["phase"] == "ready"
    assert [p["phase"] for p in value["phases"]] == ["boot", "setup", "ready"]
    assert all("milliseconds" in p for p in value["phases"][:-1])
    assert value["cluster"]["version"] == "v1.27.16"
    assert [n["ready"] for n in value["cluster"]["nodes"]] == [True] * 3
    assert value["timeline"][0]["event"] == "insert"
    assert value["timeline"][0]["by"].startswith("neco-ops@")
    assert [e["event"] for e in value["timeline"]][1:] == ["phase boot", "phase setup",
                                                           "phase ready"]
    assert value["problems"] == ["there is no Argo CD in the cluster: necoops-deploy --bootstrap "
                                 "installs it"]


def test_text(day):
    emulator = day()
    result = emulator.run("necoops-status")
    assert result.status == 0, result
    lines = result.out.splitlines()
    assert re.fullmatch(r"instance   neco-ops \(\d+\) in asia-northeast1-c: RUNNING", lines[0])
    assert lines[1] == "machine    n1-highmem-8, STANDARD"
    assert re.fullmatch(r"created    \w{3} \d{4}-\d\d-\d\d \d\d:\d\d JST \(\S+ ago\)", lines[2])
    assert re.fullmatch(r"soft end   \w{3} \d{4}-\d\d-\d\d 21:00 JST \(in \S+\)", lines[3])
    assert re.fullmatch(r"hard end   \w{3} \d{4}-\d\d-\d\d 00:00 JST \(in \S+\)", lines[4])
    assert lines[5] == "phase      ready"
    assert "3 of 3 nodes ready" in lines[6]
    assert re.search(r"^\d\d:\d\d:\d\d  insert +\S+ +in asia-northeast1-c by neco-ops@", result.out,
                     re.M), result
    assert "\033" not in result.out


def test_applications_and_lease(day, apps, folder):
    emulator = day(argocd="v2.14.21", mirrors=[f"{REPO}={folder / 'apps.git'}"])
    deployed = emulator.run("necoops-deploy", "-c", folder / "necoops.yaml", "--stable-for", "1s",
                            cwd=apps)
    assert deployed.status == 0, deployed
    head = subprocess.run(["git", "-C", apps, "rev-parse", "HEAD"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()
    value = emulator.run("necoops-status", "-o", "json").json
    assert "v2.14.21" in value["argocd"]["image"]
    by_name = {a["name"]: a for a in value["apps"]}
    assert {"argocd-config", "namespaces", "ops", "web"} <= set(by_name)
    for app in by_name.values():
        assert (app["sync"], app["health"], app["revision"]) == ("Synced", "Healthy", head), app
    assert value["problems"] == []
    assert "holder" not in (value["lease"] or {}), "the deployment has given it back"
    text = emulator.run("necoops-status").out
    assert re.search(rf"^web +{head[:12]} +Synced +Healthy *$", text, re.M), text
    assert re.search(r"^lease +nobody holds it$", text, re.M), text


def test_a_page_of_what_fails(day, apps, folder):
    """A failing application stands out, with its reason, at every width."""
    path = apps / "ops/deployment.yaml"
    text = path.read_text().replace("spec:\n  replicas:",
                                    "spec:\n  progressDeadlineSeconds: 1\n  replicas:")
    path.write_text(text.replace("sweeper:1.4.2", "sweeper:does-not-exist"))
    git = ["git", "-C", apps, "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "commit", "-q", "-a", "-m", "broken"], check=True)
    subprocess.run([*git, "push", "-q", folder / "apps.git", "HEAD:master"], check=True)
    emulator = day(argocd="v2.14.21", mirrors=[f"{REPO}={folder / 'apps.git'}"])
    deployed = emulator.run("necoops-deploy", "-c", folder / "necoops.yaml", "--set",
                            "deploy.degradedGrace=300ms", cwd=apps)
    assert deployed.status == 1, deployed
    result = emulator.run("necoops-status", "--html", folder / "status.html")
    assert result.status == 0, result
    why = 'Deployment sweeper: Deployment "sweeper" exceeded its progress deadline'
    assert re.search(rf"^ops +\S+ +Synced +Degraded +{why}$", result.out, re.M), result
    page = Page(folder / "status.html")
    check_page(page)
    assert "Not healthy 3 of 4 applications are synced and healthy" in page.text
    glance = page.text[page.text.index("At a glance\n"):page.text.index("Timeline\n")]
    assert "ops " + why in glance and len(page.all("details", "open")) == 1
    browser = Browser(folder, which("chromium"))
    for width in (360, 768, 1400):
        browser.open(folder / "status.html", width)
        assert browser.js("document.documentElement.scrollWidth") <= width
        assert browser.js(CONTRAST)[0] >= 4.5
    assert browser.console == []
    browser.close()


def test_a_page(day, apps, folder):
    """The status as a page in the look of the report."""
    emulator = day(argocd="v2.14.21", mirrors=[f"{REPO}={folder / 'apps.git'}"])
    deployed = emulator.run("necoops-deploy", "-c", folder / "necoops.yaml", "--stable-for", "1s",
                            cwd=apps)
    assert deployed.status == 0, deployed
    result = emulator.run("necoops-status", "--html", folder / "status.html")
    assert result.status == 0 and result.out.startswith("instance   neco-ops ("), result
    page = Page(folder / "status.html")
    check_page(page)
    for words in ("Status of neco-ops", "✓ Ready 4 of 4 applications are synced and healthy",
                  "n1-highmem-8, STANDARD", "Soft end", "3 of 3 nodes ready", "nobody holds it",
                  "quay.io/argoproj/argocd:v2.14.21", "Operations", "insert", "by neco-ops@",
                  "Phases of the setup", "setup", "Seen on "):
        assert words in page.text, words
    assert len(page.all("details")) == 5  # four applications, and what happened
    assert "took" not in page.text


def test_a_page_without_an_instance(day, folder):
    emulator = day(made=False)
    result = emulator.run("necoops-status", "--html", folder / "status.html")
    assert result.status == 3, result
    page = Page(folder / "status.html")
    check_page(page)
    assert "No instance" in page.text and "there is no neco-ops" in page.text
    result = emulator.run("necoops-status", "--html", folder / "nowhere/status.html")
    assert result.status == 1 and "nowhere/status.html'" in result.err, result
    for other in ("--watch", "--doctor"):
        result = emulator.run("necoops-status", "--html", folder / "status.html", other)
        assert result.status == 2 and "--html is of one look" in result.err, result


def test_the_holder_of_the_lease_is_told(day, apps, folder):
    emulator = day(argocd="v2.14.21", mirrors=[f"{REPO}={folder / 'apps.git'}"])
    running = emulator.start("necoops-deploy", "-c", folder / "necoops.yaml", "--stable-for", "1h",
                             cwd=apps, env={"CIRCLE_BUILD_URL": "https://ci.example.com/7"})
    lease = wait_for(lambda: (emulator.run("necoops-status", "-o", "json").json.get("lease")
                              or {}).get("holder"))
    assert lease["name"] == "https://ci.example.com/7"
    assert re.search(r"^lease +https://ci.example.com/7, commit [0-9a-f]{12} since ",
                     emulator.run("necoops-status").out, re.M)
    running.signal(signal.SIGINT)
    assert running.end().status == 130


def test_setup_in_progress_and_a_reboot(start_emulator, folder):
    (folder / "setup.sh").write_text("#!/bin/sh\nsleep 1h\n")
    (folder / "necoops.yaml").write_text(CONFIG + "  setup: setup.sh\n" + CLUSTER)
    emulator = start_emulator("--run-startup-scripts", timings=QUICK)
    running = emulator.start("necoops-create")
    running.wait_for("running the setup script")
    result = emulator.run("necoops-status", "-o", "json")
    assert result.status == 0, result
    assert result.json["phase"] == "setup" and "cluster" not in result.json
    assert any("kubeconfig" in p or "kube.yaml" in p for p in result.json["problems"]), result
    instance = emulator.instances()[0]
    path = emulator.zone_url("asia-northeast1-c", f"instances/{instance['name']}/reset")
    emulator.finish_operation("asia-northeast1-c", emulator.api("POST", path))
    wait_for(lambda: len({p["bootId"] for p in
                          emulator.run("necoops-status", "-o", "json").json["phases"]}) > 1
             or "booted again" in emulator.run("necoops-status").out)
    events = [e["event"] for e in emulator.run("necoops-status", "-o", "json").json["timeline"]]
    assert "insert" in events and "reset" in events
    running.signal(signal.SIGTERM)
    assert running.end().status == 143


def test_stopped(day):
    emulator = day()
    path = emulator.zone_url("asia-northeast1-c", "instances/neco-ops/stop")
    emulator.finish_operation("asia-northeast1-c", emulator.api("POST", path))
    result = emulator.run("necoops-status", "-o", "json")
    assert result.status == 0 and result.json["instance"]["status"] == "TERMINATED"
    assert "phases" not in result.json and "cluster" not in result.json
    assert [e["event"] for e in result.json["timeline"]] == ["insert", "stop"]


def test_a_failed_operation_stays_in_the_timeline(day):
    emulator = day(made=False, faults=[
        "operation=insert,zone=asia-northeast1-c,error=ZONE_RESOURCE_POOL_EXHAUSTED"])
    assert emulator.run("necoops-create").status == 0
    timeline = emulator.run("necoops-status", "-o", "json").json["timeline"]
    assert [(e["zone"], e.get("error")) for e in timeline if e["event"] == "insert"] == [
        ("asia-northeast1-c", "ZONE_RESOURCE_POOL_EXHAUSTED"), ("asia-northeast1-b", None)]


def test_denied(day):
    emulator = day(made=False, seed={"accounts": {"default": {"deny": ["compute.instances.list"]}}})
    result = emulator.run("necoops-status")
    assert result.status == 4 and "compute.instances.list" in result.err, result


# ---- watch ----

def looks(emulator):
    """How often it was looked."""
    return emulator.calls("GET", "aggregated/instances")


def test_watch_prints_changes(day):
    emulator = day()
    running = emulator.start("necoops-status", "--watch", "-o", "json")
    wait_for(lambda: running.out.read_text().count("\n") >= 1)
    seen = len(looks(emulator))
    wait_for(lambda: len(looks(emulator)) >= seen + 2)  # the first of them has been shown, too
    assert running.out.read_text().count("\n") == 1, running.out.read_text()
    assert emulator.run("necoops-delete", "--yes").status == 0
    wait_for(lambda: '"instance":null' in running.out.read_text())
    running.signal(signal.SIGINT)
    assert running.end().status == 130
    values = [json.loads(line) for line in running.out.read_text().splitlines()]
    assert values[0]["instance"]["status"] == "RUNNING" and values[-1]["instance"] is None


def test_watch_redraws_on_a_terminal(day):
    emulator = day()
    main, other = pty.openpty()
    process = emulator.popen("necoops-status", "--watch", stdout=other, stderr=other, stdin=other,
                             env={"TERM": "xterm"})
    os.close(other)
    text = b""
    deadline = time.monotonic() + PATIENCE
    while text.count(b"\033[H") < 3 and time.monotonic() < deadline:
        if select.select([main], [], [], 1)[0]:
            text += os.read(main, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    os.close(main)
    assert text.startswith(b"\033[2J\033[H") and text.count(b"\033[H") >= 3, text
    assert b"neco-ops" in text and b"\033[K" in text and b"\033[J" in text


# ---- doctor ----

def checks_of(result):
    """The outcome of each check by its name."""
    return {c["check"]: c["outcome"] for c in result.json}


def test_doctor_is_content(day):
    emulator = day(argocd="v2.14.21")
    result = emulator.run("necoops-status", "--doctor", "-o", "json")
    assert result.status == 0, result
    outcomes = checks_of(result)
    assert outcomes == {"configuration": "ok", "schedule": "ok", "clock": "ok", "credential": "ok",
                        "instance": "ok", "permissions": "ok", "image": "ok", "machine type": "ok",
                        "cluster": "ok", "Argo CD": "ok"}
    text = emulator.run("necoops-status", "--doctor").out
    assert re.search(r"^ok +credential +neco-ops@neco-test", text, re.M), text


def test_doctor_without_an_instance(day):
    emulator = day(made=False)
    result = emulator.run("necoops-status", "--doctor", "-o", "json")
    assert result.status == 0, result
    outcomes = checks_of(result)
    assert outcomes["permissions"] == "skipped" and outcomes["cluster"] == "skipped"


@pytest.mark.parametrize("sets, seed, check, words", [
    (["instance.image.family=nothing"], {}, "image", "'nothing'"),
    (["instance.machineTypes=n1-nothing-8"], {}, "machine type", "'n1-nothing-8'"),
    (["instance.name=Neco"], {}, "configuration", "is no name"),
    (["schedule.timeZone=Asia/Nowhere"], {}, "schedule", "Asia/Nowhere"),
    (["schedule.holidays=2026-13-01"], {}, "schedule", "2026-13-01"),
    (["project=other"], {}, "instance", "other"),
    (["snapshot.source=gs://neco-snapshots/init.tar.zst", "snapshot.to=/x"], {"buckets": {"neco-snapshots": {}}},
     "snapshot", "init.tar.zst"),
    (["results=gs://nowhere/x"], {}, "results", "nowhere"),
    ([], {"accounts": {"default": {"deny": ["compute.instances.setLabels"]}}}, "permissions",
     "lacks compute.instances.setLabels"),
    ([], {"accounts": {"default": {"deny": ["compute.instances.list"]}}}, "instance",
     "compute.instances.list"),
])
def test_doctor_finds(sets, seed, check, words, day):
    emulator = day(seed=seed, made=check == "permissions", argocd="v2.14.21")
    argv = [a for s in sets for a in ("--set", s)]
    result = emulator.run("necoops-status", "--doctor", "-o", "json", *argv)
    assert result.status == 1, result
    assert "error: not right: " in result.err and check in result.err
    wrong = [c for c in result.json if c["outcome"] == "wrong" and c["check"] == check]
    assert wrong and words in wrong[0]["detail"], result
    assert wrong[0].get("hint"), wrong


def test_doctor_with_a_snapshot(day):
    objects = {"init.tar.zst": {"text": "x"}}
    emulator = day(made=False, seed={"buckets": {"neco-snapshots": {"objects": objects}}})
    result = emulator.run("necoops-status", "--doctor", "-o", "json", "--set",
                          "snapshot.source=gs://neco-snapshots/init.tar.zst", "--set",
                          "snapshot.to=/var/scratch/placemat", "--set",
                          "results=gs://neco-snapshots/runs")
    assert result.status == 0, result
    assert checks_of(result)["snapshot"] == "ok" and checks_of(result)["results"] == "ok"
    programs = [c for c in result.json if c["check"] == "programs"]
    assert [c["outcome"] for c in programs] == ["warning"], result
    assert "instance.programs" in programs[0]["detail"] and "'make tarball'" in programs[0]["hint"]


def test_doctor_with_programs(day):
    emulator = day(made=False, seed={"buckets": {"neco-snapshots": {"objects": {
        "init.tar.zst": {"text": "x"}, "necoops.tar.gz": {"text": "y"}}}}})
    result = emulator.run("necoops-status", "--doctor", "-o", "json", "--set",
                          "snapshot.source=gs://neco-snapshots/init.tar.zst", "--set",
                          "snapshot.to=/var/scratch/placemat", "--set",
                          "instance.programs.archive=gs://neco-snapshots/necoops.tar.gz", "--set",
                          "instance.programs.sha256=" + 64 * "0")
    assert result.status == 0, result
    assert [c["outcome"] for c in result.json if c["check"] == "programs"] == ["ok"], result


def test_doctor_without_a_credential(day, folder):
    emulator = day(made=False)
    result = emulator.run("necoops-status", "--doctor", "-o", "json",
                          env={"GOOGLE_APPLICATION_CREDENTIALS": str(folder / "none.json")})
    assert result.status == 1, result
    outcomes = checks_of(result)
    assert outcomes["credential"] == "wrong" and outcomes["clock"] == "ok"
    assert outcomes["instance"] == "skipped"


class Ahead(http.server.BaseHTTPRequestHandler):
    """A service whose clock is twenty minutes ahead of ours."""

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + 20 * 60)

    def log_message(self, format, *args):
        """Says nothing."""


def test_doctor_with_a_skewed_clock(day):
    emulator = day(made=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ahead) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/compute/v1"
        result = emulator.run("necoops-status", "--doctor", "-o", "json",
                              env={"NECOOPS_COMPUTE_ENDPOINT": url})
        server.shutdown()
    assert result.status == 1, result
    clock = next(c for c in result.json if c["check"] == "clock")
    assert clock["outcome"] == "wrong" and re.match(r"(20m0\ds|19m\d\ds) behind", clock["detail"])
    assert "clock" in clock["hint"]


def test_doctor_when_nothing_answers(day):
    emulator = day(made=False)
    result = emulator.run("necoops-status", "--doctor", "-o", "json",
                          env={"NECOOPS_EMULATOR": "http://127.0.0.1:1"})
    assert result.status == 1, result
    assert checks_of(result) == {"configuration": "ok", "schedule": "ok", "clock": "wrong",
                                 "credential, instance, cluster": "skipped"}


def test_doctor_and_watch(folder, start_emulator):
    result = start_emulator().run("necoops-status", "--doctor", "--watch")
    assert result.status == 2 and "--doctor and --watch exclude each other" in result.err
