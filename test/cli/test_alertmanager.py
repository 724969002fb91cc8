"""A deployment's result travels: necoops-deploy, a real Alertmanager, Slack and e-mail."""
import email
import email.policy
import json
import re
import shutil
import socket
import subprocess
import urllib.request

import pytest
import yaml

from conftest import PATIENCE, ROOT, clean_environ, wait_for, which
from telling import Alertmanager, Mailbox, Sink, World

EXAMPLE = ROOT / "examples/alertmanager"
NOTIFICATIONS = ROOT / "examples/argocd-notifications"
BUILD = "https://circleci.com/gh/neco-test/apps/42"


def routes_to(*labels):
    """The receivers that the example's routes give these labels."""
    return subprocess.run([which("amtool"), "config", "routes", "test",
                           f"--config.file={EXAMPLE / 'alertmanager.yml'}", *labels],
                          check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout.strip()


def test_the_example_is_valid():
    """amtool takes it."""
    done = subprocess.run([which("amtool"), "check-config", EXAMPLE / "alertmanager.yml"],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert "SUCCESS" in done.stdout and "1 templates" in done.stdout


@pytest.mark.parametrize("labels, receiver", [
    (("severity=info", "cluster=prod", "source=necoops"), "team-news"),
    (("severity=critical", "cluster=neco-ops", "source=necoops"), "team"),
    (("severity=critical", "cluster=prod", "source=necoops"), "on-call"),
    (("severity=warning", "cluster=neco-ops", "source=necoops"), "team-chat"),
    (("severity=critical", "cluster=prod", "source=argocd"), "on-call-once"),
    (("severity=critical", "cluster=stage", "source=argocd"), "team-news"),
])
def test_routes(labels, receiver):
    """By severity and cluster."""
    assert routes_to(*labels) == receiver


class Told:
    """The example's Alertmanager with sinks behind it; only addresses and waits differ."""

    def __init__(self, folder):
        self.slack, self.mail = Sink(), Mailbox()
        shutil.copytree(EXAMPLE, folder / "alertmanager")
        text = (EXAMPLE / "alertmanager.yml").read_text()
        for old, new in (("/etc/alertmanager/slack-url", str(folder / "slack-url")),
                         ("mail.example.com:587", self.mail.address),
                         ("smtp_require_tls: true", "smtp_require_tls: false"),
                         ("group_wait: 10s", "group_wait: 1s"),
                         ("group_interval: 1m", "group_interval: 2s")):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / "slack-url").write_text(self.slack.url + "/services/T/B/x")
        (folder / "alertmanager/alertmanager.yml").write_text(text)
        self.manager = Alertmanager(folder, folder / "alertmanager/alertmanager.yml",
                                    which("prometheus-alertmanager"))

    def messages(self):
        """The attachments that reached Slack, with their channel."""
        return [{"channel": r["json"]["channel"], **r["json"]["attachments"][0]}
                for r in self.slack.seen()]

    def mails(self):
        """What reached the mailbox, parsed."""
        return [email.message_from_bytes(m["data"], policy=email.policy.default)
                for m in self.mail.seen()]

    def close(self):
        """Ends all of it."""
        self.manager.close()
        self.slack.close()
        self.mail.close()


@pytest.fixture
def told(tmp_path):
    """One of them, ended after the test."""
    one = Told(tmp_path)
    yield one
    one.close()


def test_failure_and_its_end_reach_slack_and_mail_once(told, start_emulator, folder):
    """A commit fails, the next one mends it; each is told once, in both ways."""
    world = World(start_emulator, folder, {
        "alertmanager": {"url": told.manager.url}, "reportURL": "https://ci.example.com/r.html"})
    bad = world.apps.break_ops()
    failed = world.deploy(env={"CIRCLE_BUILD_URL": BUILD})
    assert failed.status == 1, failed
    wait_for(lambda: told.messages() and told.mails(), what="both messages")

    message, mail = told.messages()[0], told.mails()[0]
    assert message["channel"] == "#deployments" and message["color"] == "danger"
    assert message["title"] == "✗ dev: deployment failed (1 application)"
    assert message["title_link"] == "https://ci.example.com/r.html"
    assert "ops is not live on dev" in message["text"]
    assert 'exceeded its progress deadline' in message["text"]
    assert f"Commit: {bad} by Ann bAuthor/b: Break the sweeper" in message["text"]
    assert "Break the sweeper &lt;script&gt;alert(1)&lt;/script&gt;" in message["text"]
    assert "<script>" not in message["text"]
    assert f"Build: {BUILD}" in message["text"]
    assert mail["subject"] == "✗ dev: deployment failed (1 application)"
    assert mail["to"] == "team@example.com"
    html = mail.get_body(("html",)).get_content()
    assert "Break the sweeper &lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html and f'href="{BUILD}"' in html
    assert "ops is not live on dev" in mail.get_body(("plain",)).get_content()
    firing = told.manager.alerts()
    assert [a["labels"] for a in firing] == [{
        "alertname": "DeploymentFailed", "app": "ops", "cluster": "dev", "severity": "critical",
        "source": "necoops"}]
    assert bad not in str(firing[0]["labels"]) and firing[0]["annotations"]["revision"] == bad
    assert firing[0]["generatorURL"] == BUILD

    good = world.apps.mend_ops()
    mended = world.deploy()
    assert mended.status == 0, mended
    wait_for(lambda: len(told.messages()) >= 3 and len(told.mails()) >= 2, what="the end of it")
    by_title = {m["title"]: m for m in told.messages()}
    over = by_title["✓ dev: deployment is live again"]
    assert over["color"] == "good" and f"Mended by: {good}" in over["text"]
    news = by_title["✓ dev: deployment succeeded"]
    assert f"{good[:12]} is live on dev: 4 applications" in news["text"]
    assert told.mails()[1]["subject"] == "✓ dev: deployment is live again"
    assert "DeploymentFailed" not in [a["labels"]["alertname"] for a in told.manager.alerts()]

    # a third run of the same commit has nothing new to say
    assert world.deploy().status == 0
    wait_for(lambda: len(told.manager.alerts()) == 1, what="the alert of success alone")
    assert len(told.messages()) == 3 and len(told.mails()) == 2


SERVICE = """\
apiVersion: v1
kind: Namespace
metadata: {name: monitoring}
---
apiVersion: v1
kind: Service
metadata:
  name: alertmanager
  namespace: monitoring
  annotations: {necoops.dev/emulator-backend: "%s"}
spec: {ports: [{port: 9093}]}
"""
PROXY = "/api/v1/namespaces/monitoring/services/alertmanager:9093/proxy/api/v2/alerts"


def as_service_account(world):
    """From now on with no more rights than examples/rbac gives."""
    for name in ("deploy", "alertmanager"):
        world.kubectl("apply", "-f", ROOT / f"examples/rbac/{name}.yaml")
    text = world.kubeconfig.read_text()
    world.kubeconfig.write_text(re.sub(
        r"( *)client-certificate-data:",
        r"\1as: system:serviceaccount:argocd:necoops-deploy\n\1client-certificate-data:", text))


def test_the_alertmanager_in_the_cluster_is_reached_through_the_api_server(told, start_emulator,
                                                                          folder):
    """notify.alertmanager.service: the failure and its end, without an address of its own, with
    the rights of examples/rbac."""
    world = World(start_emulator, folder, {
        "alertmanager": {"service": "monitoring/alertmanager:9093"}})
    world.kubectl("apply", "-f", "-", text=SERVICE % told.manager.url)
    as_service_account(world)
    world.apps.break_ops()
    failed = world.deploy()
    assert failed.status == 1 and "not told" not in failed.err, failed
    assert [a["labels"]["app"] for a in told.manager.alerts()] == ["ops"]
    world.apps.mend_ops()
    mended = world.deploy()
    assert mended.status == 0 and "warning" not in mended.err, mended
    names = [a["labels"]["alertname"] for a in told.manager.alerts()]
    assert names == ["DeploymentSucceeded"]
    asked = [(e["method"], e["status"]) for e in world.emulator.calls(contains="/proxy")
             if e["path"] == PROXY]
    assert asked == [("GET", 200), ("POST", 200)] * 2


@pytest.mark.parametrize("way", ["service", "url"])
def test_a_cluster_that_is_not_reached(way, told, start_emulator, folder):
    """Then its Alertmanager cannot be told, which is a warning; one with a URL is told."""
    where = {"service": "monitoring/alertmanager:9093", "url": told.manager.url}
    world = World(start_emulator, folder, {"alertmanager": {way: where[way]}})
    world.kubeconfig.write_text(world.kubeconfig.read_text().replace("127.0.0.1", "127.0.0.2"))
    failed = world.deploy("-q")
    assert failed.status == 1 and "does not answer" in failed.err, failed
    warned = ("warning: the Alertmanager was not told: it lies in the cluster, which was not "
              "reached; notify.alertmanager.url would do")
    assert (warned in failed.err) == (way == "service"), failed
    alerts = told.manager.alerts()
    assert [a["labels"]["app"] for a in alerts] == (["argocd-config"] if way == "url" else [])
    assert all("does not answer" in a["annotations"]["reason"] for a in alerts)


def test_a_failure_told_again_is_the_same_alert(told, start_emulator, folder):
    """Another commit that fails, too, changes annotations, not labels; nobody is told twice."""
    world = World(start_emulator, folder, {"alertmanager": {"url": told.manager.url}})
    world.apps.break_ops()
    assert world.deploy().status == 1
    wait_for(told.messages, what="the message")
    again = world.apps.push("Nothing better")
    assert world.deploy().status == 1
    alerts = told.manager.alerts()
    assert len(alerts) == 1 and alerts[0]["annotations"]["revision"] == again
    assert len(told.messages()) == 1


def test_a_slow_run_is_told_while_it_runs_and_ends_with_it(told, start_emulator, folder):
    """notify.slowAfter."""
    world = World(start_emulator, folder, {"alertmanager": {"url": told.manager.url},
                                           "slowAfter": "500ms"})
    world.apps.write("ops/deployment.yaml",
                     (world.apps.clone / "ops/deployment.yaml").read_text().replace(
                         "sweeper:1.4.2", "sweeper:does-not-exist"))
    world.apps.push("Never ready, and not given up for ten minutes")
    run = world.emulator.start("necoops-deploy", "-c", world.conf, "--cluster", "dev",
                               cwd=world.apps.clone)
    wait_for(told.messages, what="the message")
    assert run.process.poll() is None, "it was told while it ran"
    slow = told.messages()[0]
    assert slow["title"] == "… dev: deployment is slow" and slow["color"] == "warning"
    assert "The deployment on dev has been running for " in slow["text"]
    wait_for(lambda: world.kubectl("get", "deployments", "-A", "--field-selector",
                                   "metadata.name=sweeper", "-o", "name"), what="the sweeper")
    world.kubectl("patch", "deployment", "sweeper", "-n", "ops", "-p",
                  '{"spec": {"progressDeadlineSeconds": 1}}')  # now it is given up
    late = run.end()
    assert late.status == 1, late
    wait_for(lambda: len(told.messages()) == 2, what="that it failed")
    assert told.messages()[1]["title"] == "✗ dev: deployment failed (1 application)"
    assert [a["labels"]["alertname"] for a in told.manager.alerts()] == ["DeploymentFailed"]


def test_an_alertmanager_that_is_not_there_is_a_warning(start_emulator, folder):
    """It never changes how the deploy ends."""
    with socket.socket() as taken:  # nothing listens there, and nothing can begin to
        taken.bind(("127.0.0.1", 0))
        where = "127.0.0.1:%d" % taken.getsockname()[1]
        world = World(start_emulator, folder, {"alertmanager": {"url": "http://" + where}})
        done = world.deploy()
    assert done.status == 0, done
    assert "warning: how the deploy ended was not told: " in done.err
    assert where in done.err


def test_keys_that_make_no_sense_are_warned_of(start_emulator, folder):
    """And not used."""
    world = World(start_emulator, folder, {
        "alertmanager": {"url": "ftp://x"}, "reportURL": "javascript:alert(1)"})
    done = world.deploy()
    assert done.status == 0, done
    assert "warning: notify.alertmanager.url is no http or https URL; not used" in done.err
    assert "notify.reportURL: 'javascript:alert(1)' is no http or https URL; not used" in done.err


@pytest.mark.parametrize("option", ["--dry-run", "--check"])
def test_what_deploys_nothing_tells_nothing(option, start_emulator, folder):
    """Plans and checks are not results."""
    sink = Sink()
    world = World(start_emulator, folder, {"alertmanager": {"url": sink.url}})
    assert world.deploy(option).status == 0
    assert sink.seen() == []
    sink.close()


# ---- hostile text ----

HOSTILE = b"<b>\x1b[31m\xe2\x80\xaegnp.exe\xff <!channel> & "


def test_hostile_text_is_text_for_all_who_are_told(told, start_emulator, folder):
    """A subject of a megabyte with markup, escapes, an override of direction and what is no UTF-8."""
    world = World(start_emulator, folder, {"alertmanager": {"url": told.manager.url}})
    world.apps.break_ops("crash-loop:<i>")
    head, _, _ = world.apps.git("cat-file", "commit", "HEAD").encode().partition(b"\n\n")
    (folder / "commit").write_bytes(head + b"\n\n" + HOSTILE * (1_000_000 // len(HOSTILE)))
    world.apps.git("reset", "-q", world.apps.git(
        "hash-object", "-t", "commit", "-w", folder / "commit"))  # commit would mend the bytes
    world.apps.git("push", "-q", "--force", "origin", "HEAD:master")
    done = world.deploy("--report", "r.html", "--junit", "j.xml", "--events", "e.jsonl")
    assert done.status == 1, done
    wait_for(lambda: told.messages() and told.mails(), what="both messages")
    message, mail = told.messages()[0], told.mails()[0]
    html, plain = (mail.get_body((kind,)).get_content() for kind in ("html", "plain"))
    files = [(world.apps.clone / name).read_text(encoding="utf-8")  # all of it is UTF-8
             for name in ("r.html", "j.xml", "e.jsonl")]
    alerts = told.manager.alerts()
    for text in (message["text"], html, plain, done.out, done.err, *files, str(alerts)):
        assert not {"\x1b", "\u202e", "\ufffd"} & set(text), text[:2000]
        assert len(text) < 100_000
    shown = r"\x1b[31m\u202egnp.exe\xff"
    assert alerts[0]["annotations"]["subject"].startswith("<b>" + shown + " <!channel> & <b>")
    assert alerts[0]["annotations"]["subject"].endswith("…")
    assert "&lt;b&gt;" + shown + " &lt;!channel&gt; &amp;" in message["text"]
    assert "<!channel>" not in message["text"] and "<b>" not in message["text"]
    assert "&lt;b&gt;" + shown in html and "<b>" not in html and "<i>" not in html
    assert shown in plain
    assert "&lt;b&gt;" + shown + " &lt;!channel&gt; &amp;" in files[0] and "<b>" not in files[0]


# ---- Argo CD's own notifications ----

def notifications(cluster):
    """The ConfigMap that the overlay builds."""
    text = subprocess.run([which("kubectl"), "kustomize", NOTIFICATIONS / cluster], check=True,
                          text=True, stdout=subprocess.PIPE, env=clean_environ()).stdout
    return yaml.safe_load(text)


@pytest.mark.parametrize("cluster", ["stage", "prod"])
def test_argocd_notifications_fit_together(cluster):
    """The ConfigMap that Argo CD's installation names; every name in it leads somewhere."""
    config = notifications(cluster)
    assert config["metadata"]["name"] == "argocd-notifications-cm"
    assert config["metadata"]["namespace"] == "argocd"
    assert config["metadata"]["labels"]["app.kubernetes.io/part-of"] == "argocd"
    data = {key: yaml.safe_load(value) for key, value in config["data"].items()}
    of = {kind: {key.split(".", 1)[1]: value for key, value in data.items()
                 if key.startswith(kind + ".")} for kind in ("service", "trigger", "template")}
    assert len(data) == sum(map(len, of.values())) + 2
    assert data["context"] == {"cluster": cluster,
                               "argocdUrl": f"https://argocd.{cluster}.example.com"}
    assert of["service"].keys() == {"alertmanager"}
    assert of["service"]["alertmanager"]["apiPath"] == "/api/v2/alerts"
    for subscription in data["subscriptions"]:
        assert subscription["recipients"] == ["alertmanager"]
        assert set(subscription["triggers"]) == set(of["trigger"])
    sent = [name for conditions in of["trigger"].values() for c in conditions for name in c["send"]]
    assert sorted(sent) == sorted(of["template"])
    assert of["trigger"]["on-deployed"][0]["oncePer"] == "app.status.sync.revision"
    for template in of["template"].values():
        labels = template["alertmanager"]["labels"]
        assert labels.keys() == {"alertname", "severity", "source", "cluster", "app"}
        assert "revision" in template["alertmanager"]["annotations"]
        # Argo CD's value would be an ssh URL of the repository
        assert template["alertmanager"]["generatorURL"].startswith("{{.context.argocdUrl}}/")
        assert labels["alertname"] in (EXAMPLE / "templates/necoops.tmpl").read_text()
        used = re.findall(r"{{(?:or )?\.(\w+)\.", str(template))
        assert set(used) <= {"app", "context"}
        assert set(re.findall(r"\.context\.(\w+)", str(template))) <= data["context"].keys()


def rendered(template, values):
    """The alert that Argo CD makes of a template, for the few things that ours use of its language."""
    def value(found):
        at = values
        for key in found.group(1).split("."):
            at = at[key]
        return at
    return json.loads(re.sub(r"{{(?:or )?\.([\w.]+)[^}]*}}", value,
                             json.dumps(template["alertmanager"])))


def test_what_argocd_tells_reaches_slack(told):
    """The Alertmanager takes the alerts, and its templates have words for each."""
    data = {key: yaml.safe_load(value) for key, value in notifications("stage")["data"].items()}
    app = {"metadata": {"name": "web", "namespace": "argocd"},
           "status": {"sync": {"revision": 40 * "a", "status": "Synced"},
                      "health": {"status": "Degraded"},
                      "operationState": {"message": "one or more objects failed to apply"}}}
    values = {"app": app, "context": data["context"]}
    alerts = [rendered(data[key], values) for key in sorted(data) if key.startswith("template.")]
    request = urllib.request.Request(told.manager.url + data["service.alertmanager"]["apiPath"],
                                     json.dumps(alerts).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 200
    wait_for(lambda: len(told.messages()) >= 3, what="the messages")
    by_title = {m["title"]: m for m in told.messages()}
    assert by_title.keys() == {"✓ stage: web was deployed", "✗ stage: web is degraded",
                               "✗ stage: web was not synced"}
    failed = by_title["✗ stage: web was not synced"]
    assert failed["title_link"] == "https://argocd.stage.example.com/applications/argocd/web"
    assert "one or more objects failed to apply" in failed["text"]
    assert f"Commit: {40 * 'a'}" in failed["text"] and told.mails() == []
