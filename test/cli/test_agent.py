"""A deploy through the agent on the instance: as if it ran here."""
import json
import signal
import xml.etree.ElementTree as ElementTree

import pytest

from agents import Site
from telling import Sink
from test_deploy import rows


@pytest.fixture
def site(folder, start_emulator):
    place = Site(folder, start_emulator)
    yield place
    place.stop()


def test_a_commit_is_deployed(site):
    site.start_agent()
    result = site.deploy()
    assert result.status == 0, result
    commit = site.git("rev-parse", "HEAD")
    table = rows(result)
    assert list(table) == ["argocd-config", "namespaces", "ops", "web"]
    for row in table.values():
        assert row[:3] == [commit[:12], "Synced", "Healthy"] and row[-1] == "live"
    # the same words as of one that runs here
    assert "necoops-deploy: sync: " in result.err and "necoops-deploy: lock: " in result.err
    assert site.requests() == []
    assert site.lease() == ""
    assert site.runs() == 1
    # nothing reached the cluster from here: all of it came through the instance
    sent = [e["body"] for e in site.emulator.calls("POST", "/setMetadata")]
    assert all(body["fingerprint"] for body in sent) and len(sent) == 2
    request = json.loads(next(i["value"] for i in sent[0]["items"]
                              if i["key"] == "necoops-request"))["requests"][0]
    assert request["options"]["revision"] == commit and request["options"]["no-check"] is True
    assert request["set"]["clusters.neco-ops.path"] == "argocd-config/overlays/gcp"
    assert not any("kubeconfig" in key for key in request["set"])


def test_a_failure_names_the_line_of_the_manifest(site):
    site.start_agent()
    site.change("ops/deployment.yaml", "apiVersion: apps/v1", "apiVersion: nobody.example.com/v1")
    result = site.deploy("--junit", site.folder / "junit.xml", "--report", site.folder / "r.html",
                         "--events", site.folder / "events.jsonl")
    assert result.status == 1, result
    assert "necoops-deploy: error: application 'ops': the sync failed" in result.err
    assert result.err.count("error: ") == 1
    assert "ops/deployment.yaml:1 (changed by this commit)" in result.out
    suite = ElementTree.parse(site.folder / "junit.xml").getroot().find("testsuite")
    assert [c.get("name") for c in suite.findall("testcase") if c.find("failure") is not None] == \
        ["ops"]
    assert "nobody.example.com" in (site.folder / "r.html").read_text()
    events = [json.loads(line) for line in (site.folder / "events.jsonl").read_text().splitlines()]
    assert events[0]["type"] == "start" and events[-1]["type"] == "end"
    assert events[-1]["status"] == 1


def test_json_is_that_of_the_run_there(site):
    site.start_agent()
    result = site.deploy("-o", "json")
    assert result.status == 0, result
    assert result.json["cluster"] == "neco-ops" and len(result.json["apps"]) == 4
    assert result.json["status"] == 0


def test_the_check_is_done_here(site):
    """A fault of the commit bothers no instance."""
    site.change("ops/deployment.yaml", "apiVersion: apps/v1", "apiVersion: [")
    result = site.deploy()
    assert result.status == 2, result
    assert "ops/deployment.yaml:" in result.out + result.err
    assert not site.emulator.calls("POST", "/setMetadata")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_work_there(site, number, status):
    site.start_agent()
    run = site.start("--stable-for", "10m")
    run.wait_for("sync: ")
    run.signal(number)
    result = run.end()
    assert result.status == status, result
    assert "cancelling necoops-deploy on the instance" in result.err
    assert site.lease() == "" and site.requests() == []
    assert f"ended with status {status}" in site.agent_log.read_text()


def test_github_is_told_from_here_and_alertmanager_from_there(site):
    """Each once: the token for GitHub is CI's, the Alertmanager may lie in the cluster."""
    github, alerts = Sink([(201, "{}")]), Sink([(200, "[]")])
    site.configure(more=f"notify: {{github: {{tokenEnv: STATUS_TOKEN, url: \"{github.url}\"}}, "
                        f"alertmanager: {{url: \"{alerts.url}\"}}}}\n")
    site.start_agent()
    site.change("ops/deployment.yaml", "apiVersion: apps/v1", "apiVersion: nobody.example.com/v1")
    result = site.deploy(env={"STATUS_TOKEN": "ghp-x", "CIRCLE_BUILD_URL": "https://ci.example/7"})
    github.close()
    alerts.close()
    assert result.status == 1, result
    states = [request["json"]["state"] for request in github.seen()]
    assert states == ["pending", "failure"]
    assert "application 'ops': " in github.seen()[-1]["json"]["description"]
    posted = [alert for request in alerts.seen() for alert in request["json"] or []]
    assert [(a["labels"]["alertname"], a["labels"]["app"]) for a in posted] == \
        [("DeploymentFailed", "ops")]
    assert posted[0]["annotations"]["build_url"] == "https://ci.example/7"


def test_the_cluster_is_not_asked_from_here(site):
    """Status and doctor say so, and find nothing wrong with it."""
    status = site.emulator.run("necoops-status")
    assert status.status == 0, status
    assert "is not reached from here, only through the agent on its instance" in status.out
    doctor = site.emulator.run("necoops-status", "--doctor")
    assert doctor.status == 0, doctor
    assert "skipped  cluster        only its instance reaches it (clusters.neco-ops.via)" in \
        doctor.out
