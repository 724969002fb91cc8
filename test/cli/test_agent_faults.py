"""What can go wrong between a caller and the agent: each has words of its own."""
import glob
import json
import re
import signal

import pytest

from agents import INSTANCE, ZONE, Site, write_serial
from conftest import PATIENCE, wait_for

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
POLL = "method=GET,path=*/serialPort,query=port=2*"


@pytest.fixture
def site(folder, start_emulator):
    place = Site(folder, start_emulator, options=("--no-check",))
    yield place
    place.stop()


@pytest.fixture
def make_site(folder, start_emulator):
    made = []

    def make(**kwargs):
        made.append(Site(folder, start_emulator, options=("--no-check",), **kwargs))
        return made[-1]

    yield make
    for place in made:
        place.stop()


def delete_instance(site):
    emulator = site.emulator
    emulator.finish_operation(
        ZONE, emulator.api("DELETE", emulator.zone_url(ZONE, "instances/neco-ops")))


# ---- more than one ----

def test_two_callers_at_once(site):
    site.start_agent()
    first = site.start("--stable-for", "10m")
    first.wait_for("sync: ")
    second = site.start()
    second.wait_for("queue: place 1 on the instance, where necoops-deploy of '")
    assert [r["tool"] for r in site.requests()] == ["necoops-deploy"] * 2
    first.signal(signal.SIGTERM)
    assert first.end().status == 143
    result = second.end()
    assert result.status == 0, result
    assert site.requests() == [] and site.runs() == 2


def test_who_does_not_want_to_wait_is_told_who_is_there(site):
    site.start_agent()
    first = site.start("--stable-for", "10m", env={"CIRCLE_BUILD_URL": "https://ci.example/job/7"})
    first.wait_for("sync: ")
    result = site.deploy("--lock-timeout", "100ms")
    assert result.status == 5, result
    assert "is busy: necoops-deploy of 'https://ci.example/job/7' runs there" in result.err
    first.signal(signal.SIGINT)
    assert first.end().status == 130
    assert site.requests() == [] and site.runs() == 1


def test_metadata_that_others_change_too(make_site):
    """412 from the fingerprint: read again."""
    site = make_site(faults=["method=POST,path=*/setMetadata,count=2,status=412,"
                             "reason=conditionNotMet"])
    site.start_agent()
    result = site.deploy()
    assert result.status == 0, result
    statuses = [e["status"] for e in site.emulator.calls("POST", "/setMetadata")]
    assert statuses == [412, 412, 200, 200]


# ---- the agent dies ----

def test_the_agent_is_killed_and_started_again(site):
    site.start_agent()
    run = site.start("--stable-for", "10m")
    run.wait_for("sync: ")
    site.kill_agent()
    site.start_agent()
    result = run.end()
    assert result.status == 1, result
    assert "the agent on the instance was started again" in result.err
    assert "error: the agent ended while necoops-deploy ran on the instance; run it again" in \
        result.err
    wait_for(lambda: site.lease() == "", what="the lease")  # the run of before is being ended
    assert site.requests() == [] and site.runs() == 1
    assert site.deploy().status == 0


def test_the_agent_dies_for_good(site):
    site.configure(silent="6s")
    site.start_agent()
    write_serial(site.emulator, b"kernel: out of memory\r\n", port=1)
    run = site.start("--stable-for", "10m")
    run.wait_for("sync: ")
    site.kill_agent()
    result = run.end()
    assert result.status == 1, result
    assert "the agent on the instance 'neco-ops' is silent since " in result.err
    assert "console: kernel: out of memory" in result.err
    assert site.requests() == []


def test_the_agent_is_stopped(site):
    site.start_agent()
    run = site.start("--stable-for", "10m")
    run.wait_for("sync: ")
    site.agent.send_signal(signal.SIGTERM)
    result = run.end()
    assert result.status == 1, result
    assert "necoops-deploy was ended: the agent on the instance was stopped" in result.err
    assert site.agent.wait(PATIENCE) == 0 and site.lease() == ""


def test_there_is_no_agent(site):
    site.configure(silent="500ms")
    site.emulator.report_phase("ready", "all steps done")
    result = site.deploy()
    assert result.status == 1, result
    assert "there is no agent on the instance 'neco-ops' (its last phase is 'ready'" in result.err
    assert site.requests() == []


def test_two_agents_on_one_instance(site):
    site.start_agent()
    other = site.emulator.run("necoops-agent", "--port", site.port.path, "--state",
                              site.folder / "agent",
                              env={"GCE_METADATA_HOST": site.metadata_host()})
    assert other.status == 5, other
    assert "another agent works in" in other.err


# ---- the instance ----

def test_the_setup_has_not_ended(site):
    site.emulator.report_phase("setup", "running the setup script")
    result = site.deploy()
    assert result.status == 3, result
    assert "is not ready: its last phase is 'setup': running the setup script; wait for it" in \
        result.err
    assert not site.emulator.calls("POST", "/setMetadata")


def test_there_is_no_instance(site):
    delete_instance(site)
    result = site.deploy()
    assert result.status == 3, result
    assert "there is no instance 'neco-ops'" in result.err
    assert site.deploy("--if-no-cluster", "skip").status == 0


def test_the_instance_is_deleted_in_the_middle(site):
    site.start_agent()
    run = site.start("--stable-for", "10m")
    run.wait_for("sync: ")
    delete_instance(site)
    result = run.end()
    assert result.status == 3, result
    assert "the instance 'neco-ops' was deleted while necoops-deploy ran on it" in result.err


def test_the_instance_is_stopped(site):
    site.configure(silent="1s")
    emulator = site.emulator
    emulator.finish_operation(
        ZONE, emulator.api("POST", emulator.zone_url(ZONE, "instances/neco-ops/stop")))
    result = site.deploy()
    assert result.status == 3, result
    assert "the instance 'neco-ops' is TERMINATED" in result.err


# ---- the serial port ----

def test_the_ring_is_overrun(site):
    site.start_agent()
    run = site.start("--stable-for", "4s", "--events", site.folder / "events.jsonl", "--report",
                     site.folder / "report.html")
    run.wait_for("sync: ")
    run.signal(signal.SIGSTOP)
    write_serial(site.emulator, b"noise " * 200000)
    run.signal(signal.SIGCONT)
    result = run.end()
    assert result.status == 0, result
    assert "live" in result.out
    assert "bytes of the serial port were overwritten before they were read" in result.err
    kinds = [json.loads(line)["type"]
             for line in (site.folder / "events.jsonl").read_text().splitlines()]
    assert kinds[0] == "start" and kinds[-1] == "end"
    assert "</html>" in (site.folder / "report.html").read_text()


def test_results_that_were_overwritten_are_asked_for_again(site):
    """A caller that could not listen for a while: all that was said meanwhile is gone."""
    site.start_agent()
    run = site.start("--stable-for", "3s", "--events", site.folder / "events.jsonl")
    run.wait_for("sync: ")
    run.signal(signal.SIGSTOP)
    wait_for(lambda: any(f["t"] == "end" for f in site.frames()), what="the end")
    write_serial(site.emulator, b"x" * (1 << 20) + b"\n")
    run.signal(signal.SIGCONT)
    result = run.end()
    assert result.status == 0, result
    assert "live" in result.out
    kinds = [json.loads(line)["type"]
             for line in (site.folder / "events.jsonl").read_text().splitlines()]
    assert kinds[0] == "start" and kinds[-1] == "end"


def test_somebody_else_writes_to_the_port(site):
    site.start_agent()
    run = site.start("--stable-for", "4s")
    run.wait_for("sync: ")
    request = site.requests()[0]["id"]
    forged = {"t": "end", "id": request, "status": 0, "results": []}
    write_serial(site.emulator,
                 b"login: root\r\n" +
                 b'@necoops 0123456789abcdef 9 00000000 ' + json.dumps(forged).encode() + b"\r\n" +
                 b"@necoops cut")
    result = run.end()
    assert result.status == 0, result
    assert "live" in result.out
    assert re.search(r"[1-9][0-9]* messages of the agent were damaged", result.err), result
    assert "lines on the serial port are not the agent's: somebody else writes there" in result.err


def test_the_limit_of_the_serial_port_is_met_for_a_while(make_site):
    site = make_site(faults=[f"{POLL},n=2,count=3,status=429,"
                             "reason=rateLimitExceeded"])
    site.start_agent()
    result = site.deploy()
    assert result.status == 0, result
    assert "it is asked less often" in result.err


def test_the_limit_of_the_serial_port_is_met_to_the_end(make_site):
    site = make_site(faults=[f"{POLL},n=2,count=0,status=429,"
                             "reason=rateLimitExceeded"])
    site.start_agent()
    result = site.deploy("--timeout", "5s")
    assert result.status == 7, result
    assert "serial port 2" in result.err
    assert site.requests() == []


# ---- the request ----

def test_a_request_runs_once(site):
    site.start_agent()
    commit = site.git("rev-parse", "HEAD")
    asked = {"options": {"revision": commit}}
    request = site.ask(asked)[0]
    assert site.answer(request, "end")["status"] == 0
    standing = site.requests()
    site.emulator.set_metadata(site.instance(), **{"necoops-request": ""})
    wait_for(lambda: not (site.folder / "agent/results" / request).exists(), what="tidying")
    before = len(site.frames(request))
    value = json.dumps({"version": 1, "requests": standing})
    site.emulator.set_metadata(site.instance(), **{"necoops-request": value})
    wait_for(lambda: len(site.frames(request)) > before, what="an answer to the replay")
    assert site.frames(request)[before]["t"] == "end"
    # and after a restart
    site.kill_agent()
    before = len(site.frames(request))
    site.start_agent()
    wait_for(lambda: len(site.frames(request)) > before, what="an answer after the restart")
    assert site.frames(request)[before]["t"] == "end"
    assert site.runs() == 1


REFUSED = [
    ({"tool": "necoops-delete"}, "the tool 'necoops-delete' is not taken"),
    ({"options": {"config": "/etc/passwd"}}, "the option 'config' of necoops-deploy is not taken"),
    ({"options": {"revision": "master"}},
     "the option 'revision' of necoops-deploy has a value that is not taken"),
    ({"options": {"cluster": "a\nb"}},
     "the option 'cluster' of necoops-deploy has a value that is not taken"),
    ({"set": {"clusters.neco-ops.tunnel": "[reboot]"}},
     "the configuration key 'clusters.neco-ops.tunnel' is not taken"),
    ({"env": {"LD_PRELOAD": "/tmp/x.so"}}, "the variable 'LD_PRELOAD' is not taken"),
    ({"files": ["../../etc/passwd"]}, "necoops-deploy makes no such file"),
    ({"timeoutMs": -1}, "its 'timeoutMs' is not within bounds"),
    ({"instance": "42"}, "the request is for the instance with the id '42', not for "),
    ({"age": 3600}, "ago: it is an old one, or the clock of the machine that sent it is wrong"),
    ({"age": -3600}, "ahead: it is an old one, or the clock of the machine that sent it is wrong"),
]


def test_what_is_refused(site):
    site.start_agent()
    requests = site.ask(*[member for member, _ in REFUSED])
    for request, (_, reason) in zip(requests, REFUSED):
        answer = site.answer(request, "refused", "accepted")
        assert answer["t"] == "refused" and answer["status"] == 2, (reason, answer)
        assert reason in answer["error"]
    assert site.runs() == 0


def test_a_refusal_is_told(site):
    site.start_agent()
    result = site.deploy("--stable-for", "25h")
    assert result.status == 2, result
    assert "error: the agent does not take the request: the option 'stable-for' of necoops-deploy has a value that is not taken" in result.err
    assert site.requests() == []


@pytest.mark.skipif(not FAKETIME, reason="no faketime")
@pytest.mark.parametrize("offset", ["+1h", "-1h"])
def test_the_clock_of_the_instance_is_wrong(site, offset):
    """It tells no request's age; what else is wrong with such a clock is the tool's to say."""
    site.start_agent(LD_PRELOAD=FAKETIME, FAKETIME=offset, FAKETIME_DONT_FAKE_MONOTONIC="1",
                     # the library that changes the time comes before the sanitizer's
                     ASAN_OPTIONS="verify_asan_link_order=0")
    result = site.deploy()
    assert site.runs() == 1
    if offset == "+1h":
        assert result.status == 0, result
    else:
        assert result.status == 1 and "certificate is not yet valid" in result.err, result


def test_the_metadata_is_full(make_site):
    items = [{"key": f"big-{i}", "value": "x" * 261000} for i in range(2)]
    items.append({"key": "enable-guest-attributes", "value": "TRUE"})
    items.append({"key": "rest", "value": "y" * 2200})
    site = make_site(instance={**INSTANCE, "metadata": {"items": items}})
    result = site.deploy()
    assert result.status == 2, result
    assert "the instance's metadata has no room for the request" in result.err
    assert not site.emulator.calls("POST", "/setMetadata")


# ---- the caller ----

def test_the_caller_is_gone_for_good(site):
    site.configure(gone="4s")
    site.start_agent()
    run = site.start("--stable-for", "10m")
    run.wait_for("sync: ")
    run.process.kill()
    run.process.wait()
    wait_for(lambda: "who asked for it is gone" in site.agent_log.read_text(), what="the end")
    wait_for(lambda: site.lease() == "", what="the lease")


def test_the_caller_goes_on_being_heard(site):
    site.configure(gone="4s")
    site.start_agent()
    result = site.deploy("--stable-for", "6s")  # longer than without a word it would last
    assert result.status == 0, result
    assert len(site.emulator.calls("POST", "/setMetadata")) > 3


def test_the_request_is_taken_out(site):
    site.start_agent()
    run = site.start("--stable-for", "10m")
    run.wait_for("sync: ")
    site.emulator.set_metadata(site.instance(), **{"necoops-request": ""})
    result = run.end()
    assert result.status == 1, result
    assert "was ended: its request was taken out of the instance's metadata" in result.err


# ---- large results ----

def test_large_results_go_through_the_bucket(site):
    site.configure(more="results: gs://results/agent\n")
    site.start_agent()
    report = site.folder / "report.html"
    result = site.deploy("--report", report)
    assert result.status == 0, result
    assert "</html>" in report.read_text() and report.stat().st_size > 16384
    names = {e["path"].rpartition("%2F")[2] for e in site.emulator.calls("DELETE", "/b/results/o/")}
    assert names == {"report"}
    status, left = site.emulator.api("GET", "/storage/v1/b/results/o")
    assert status == 200 and not left.get("items")


def test_results_without_a_bucket_go_over_the_port(site):
    site.start_agent()
    report = site.folder / "report.html"
    result = site.deploy("--report", report)
    assert result.status == 0, result
    assert "</html>" in report.read_text() and report.stat().st_size > 16384


# ---- who takes the cluster away ----

def test_a_delete_waits_for_the_agent(site):
    site.start_agent()
    run = site.start("--stable-for", "10m", env={"CIRCLE_BUILD_URL": "https://ci.example/job/7"})
    run.wait_for("sync: ")
    refused = site.emulator.run("necoops-delete", "--yes", "--lock-timeout", "0s")
    assert refused.status == 5, refused
    assert "cluster 'neco-ops' is in use: necoops-deploy of https://ci.example/job/7 is with the " \
        "agent since 20" in refused.err
    run.signal(signal.SIGINT)
    assert run.end().status == 130
    done = site.emulator.run("necoops-delete", "--yes", "--lock-timeout", "0s")
    assert done.status == 0, done
