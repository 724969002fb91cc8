"""Why not: each reason that a commit does not become live, with the words and the line behind it."""
import json
import re
import subprocess

import pytest

from conftest import clean_environ, wait_for
from test_deploy import place, rows  # noqa: F401 (a fixture)

QUICKLY = ["--set", "deploy.syncRetries=0"]
WEB = "web/base/deployment.yaml"
OPS = "ops/deployment.yaml"


def kubectl(place, *args, **kwargs):  # noqa: F811
    """Runs kubectl as the cluster's administrator."""
    return subprocess.run(["kubectl", "--kubeconfig", str(place.folder / "kubeconfig"), *args],
                          check=True, env=clean_environ(), stdout=subprocess.PIPE, text=True,
                          **kwargs).stdout


def apply(place, *objects):  # noqa: F811
    kubectl(place, "apply", "--validate=false", "-f", "-",
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def soon(place, path=OPS):  # noqa: F811
    """What does not come up is Degraded after a second."""
    place.edit(path, "spec:", "spec:\n  progressDeadlineSeconds: 1")


def line_of(place, path, text):  # noqa: F811
    """The number of the line that has the text."""
    lines = (place.clone / path).read_text().splitlines()
    return f"{path}:{[text in line for line in lines].index(True) + 1}"


def fails(place, *args, status=1):  # noqa: F811
    """The run fails so; its causes for machines and the output for people."""
    result = place.deploy(*QUICKLY, *args)
    assert result.status == status, result
    return result


# ---- pods ----

def test_a_probe_that_fails(place):  # noqa: F811
    soon(place)
    place.edit(OPS, "        args:", "        readinessProbe:\n          exec: {command: [/bin/false]}"
               "\n        args:")
    place.commit()
    result = fails(place)
    assert "Unhealthy: Readiness probe failed" in result.out
    assert f"{line_of(place, OPS, 'readinessProbe')} (changed by this commit)" in result.out


def test_no_room(place):  # noqa: F811
    soon(place)
    place.edit(OPS, "cpu: 10m", 'cpu: "64"')
    place.commit()
    result = fails(place)
    assert "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu." in result.out
    assert f"    {line_of(place, OPS, 'resources:')}" in result.out


def test_a_quota(place):  # noqa: F811
    assert place.deploy().status == 0
    apply(place, {"apiVersion": "v1", "kind": "ResourceQuota",
                  "metadata": {"name": "few", "namespace": "ops"}, "spec": {"hard": {"pods": "1"}}})
    place.edit(OPS, "replicas: 1", "replicas: 2")
    place.commit()
    result = fails(place)  # no deadline sees that: only the number changed
    assert "error: application 'ops': Deployment ops/sweeper: FailedCreate: pods " in result.err
    assert 'FailedCreate: Error creating: pods "sweeper-' in result.out
    assert "is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1" in result.out
    assert f"    {OPS}:1" in result.out


def test_a_quota_of_objects(place):  # noqa: F811
    assert place.deploy().status == 0
    apply(place, {"apiVersion": "v1", "kind": "ResourceQuota",
                  "metadata": {"name": "none", "namespace": "ops"},
                  "spec": {"hard": {"configmaps": "0"}}})
    (place.clone / "ops/new.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new, namespace: ops}\n")
    place.commit()
    result = fails(place)
    assert 'configmaps "new" is forbidden: exceeded quota: none' in result.out
    assert "    ops/new.yaml:1 (changed by this commit)" in result.out


def test_a_hook_that_fails_shows_its_last_words(place):  # noqa: F811
    (place.clone / "ops/migrate.yaml").write_text("""\
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  namespace: ops
  annotations: {argocd.argoproj.io/hook: PreSync}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: migrate
        image: quay.io/example/migrate:1
        command: [sh, -c, "echo no such table; exit 1"]
""")
    place.commit()
    result = fails(place)
    assert "Job ops/migrate" in result.out
    assert "container 'migrate' ended with status 1: Error" in result.out
    assert "last lines of its log:" in result.out and "no such table" in result.out
    assert f"    {line_of(place, 'ops/migrate.yaml', 'name: migrate')[:-1]}" in result.out


# ---- what the API server refuses ----

def webhook(name, resource, **more):
    return {"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "guard"},
            "webhooks": [{"name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
                          "clientConfig": {"service": {"namespace": "guard", "name": "guard",
                                                       "path": "/check"}},
                          "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                                     "operations": ["CREATE", "UPDATE"],
                                     "resources": [resource]}], **more}]}


ASKED = 'failed to call webhook: Post "https://guard.guard.svc:443/check?timeout=10s": '


@pytest.mark.parametrize("name, served, words", [
    ("deny.example.com", True, 'admission webhook "deny.example.com" denied the request: this is '
                               'not allowed here'),
    ("silent.example.com", True, f'failed calling webhook "silent.example.com": {ASKED}'
                                 'no endpoints available for service "guard"'),
    ("gone.example.com", False, f'failed calling webhook "gone.example.com": {ASKED}'
                                'service "guard" not found'),
])
def test_a_webhook(place, name, served, words):  # noqa: F811
    if served:
        apply(place, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guard"}},
              {"apiVersion": "v1", "kind": "Service",
               "metadata": {"name": "guard", "namespace": "guard"},
               "spec": {"ports": [{"port": 443}]}})
    apply(place, webhook(name, "deployments"))
    result = fails(place, "--apps", "namespaces", "--apps", "ops")
    assert words in result.out
    assert f"    {OPS}:1" in result.out


def test_a_webhook_that_may_be_ignored(place):  # noqa: F811
    apply(place, webhook("silent.example.com", "deployments", failurePolicy="Ignore"))
    assert place.deploy().status == 0


def test_a_field_that_is_immutable(place):  # noqa: F811
    assert place.deploy().status == 0
    place.edit(OPS, "    matchLabels:\n      app: sweeper", "    matchLabels:\n      app: broom")
    place.edit(OPS, "      labels:\n        app: sweeper", "      labels:\n        app: broom")
    place.commit()
    result = fails(place)
    assert "spec.selector: Invalid value" in result.out and "field is immutable" in result.out
    assert f"    {line_of(place, OPS, 'matchLabels')[:-1]}" in result.out


def test_a_namespace_that_is_being_deleted(place):  # noqa: F811
    assert place.deploy().status == 0
    apply(place, {"apiVersion": "v1", "kind": "ConfigMap",
                  "metadata": {"name": "stuck", "namespace": "ops",
                               "finalizers": ["example.com/never"]}})
    kubectl(place, "delete", "namespace", "ops", "--wait=false")
    wait_for(lambda: "False" not in kubectl(
        place, "get", "namespace", "ops", "-o",
        "jsonpath={.status.conditions[?(@.type=='NamespaceFinalizersRemaining')].status}") and
        "example.com/never" in kubectl(place, "get", "namespace", "ops", "-o", "json"), 30,
        "what is left in the namespace")
    (place.clone / "ops/new.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new, namespace: ops}\n")
    place.commit()
    result = fails(place, "--apps", "ops")
    assert "unable to create new content in namespace ops because it is being terminated" \
        in result.out
    assert "Namespace ops is being deleted since 2" in result.out
    assert "Namespace ops: NamespaceFinalizersRemaining: " in result.out
    assert "example.com/never" in result.out
    assert "    ops/new.yaml:1 (changed by this commit)" in result.out


def test_a_namespace_that_does_not_go_away(place):  # noqa: F811
    """It is one of the applications' resources itself."""
    apply(place, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ops"}},
          {"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": "held", "namespace": "ops", "finalizers": ["example.com/nobody"]}})
    kubectl(place, "delete", "namespace", "ops", "--wait=false")
    wait_for(lambda: "example.com/nobody" in kubectl(place, "get", "namespace", "ops", "-o", "json"))
    result = fails(place, "--no-check", "--timeout", "15s", status=6)
    assert "namespaces (Progressing: Namespace ops is Progressing: Pending deletion)" in result.err
    assert "Namespace ops: NamespaceFinalizersRemaining: " in result.out, result
    assert "example.com/nobody" in result.out
    assert "    namespaces/namespaces.yaml:" in result.out


def test_a_folder_that_is_not_in_the_commit(place):  # noqa: F811
    place.edit("argocd-config/base/ops.yaml", "path: ops", "path: nowhere")
    place.commit()
    result = fails(place, "--no-check")
    assert re.search(r"application 'ops': .*ComparisonError: .*nowhere: app path does not exist",
                     result.err), result


# ---- what transformers decided ----

def overlay(place, text):  # noqa: F811
    """web goes through an overlay with this kustomization."""
    folder = place.clone / "web/overlays/gcp"
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        "resources: [../../base]\n" + text)
    soon(place, WEB)
    place.commit()


def test_the_tag_of_images(place):  # noqa: F811
    path = "web/overlays/gcp/kustomization.yaml"
    overlay(place, "images:\n- name: quay.io/example/web\n  newTag: does-not-exist\n")
    result = fails(place)
    assert "quay.io/example/web:does-not-exist" in result.out
    assert f"    {line_of(place, path, 'newTag')} (changed by this commit)" in result.out


def test_images_over_images(place):  # noqa: F811
    """A base names another image, and the overlay its tag: that is the line."""
    base = place.clone / "web/base/kustomization.yaml"
    base.write_text(base.read_text() + "images:\n- name: quay.io/example/web\n"
                    "  newName: quay.io/example/site\n  newTag: 1.0.0\n")
    overlay(place, "images:\n- name: quay.io/example/site\n  newTag: does-not-exist\n")
    result = fails(place)
    assert "quay.io/example/site:does-not-exist" in result.out
    assert "    web/overlays/gcp/kustomization.yaml:6 (changed by this commit)" in result.out


def test_a_prefix_of_names(place):  # noqa: F811
    place.edit(WEB, "quay.io/example/web:2.0.1", "quay.io/example/web:does-not-exist")
    overlay(place, "namePrefix: green-\n")
    result = fails(place)
    assert "Deployment web/green-web" in result.out
    assert f"    {line_of(place, WEB, 'image:')} (changed by this commit)" in result.out


# ---- through bases and patches ----

def test_a_patch_is_named_before_its_base(place):  # noqa: F811
    """The overlay's patch brings the image that is not there, not the base."""
    soon(place, WEB)
    place.edit("web/overlays/gcp/deployment.yaml", "  replicas: 1\n", """\
  replicas: 1
  template:
    spec:
      containers:
      - name: web
        image: example.invalid/web:3
""")
    place.commit()
    result = fails(place)
    where = line_of(place, "web/overlays/gcp/deployment.yaml", "image:")
    assert f"{where} (changed by this commit)" in result.out, result


def test_a_line_that_an_earlier_commit_wrote_is_not_marked(place):  # noqa: F811
    soon(place, WEB)
    place.edit("web/base/deployment.yaml", "quay.io/example/web:2.0.1", "example.invalid/web:1")
    place.commit()
    place.commit("nothing of it")
    result = fails(place)
    where = line_of(place, "web/base/deployment.yaml", "image:")
    assert f"{where}\n" in result.out and "(changed by this commit)" not in result.out


# ---- an image that cannot be pulled ends the wait early ----

def test_an_image_that_cannot_be_pulled_is_not_waited_for(place):  # noqa: F811
    """Its Deployment would say Progressing for ten minutes."""
    place.edit(OPS, "quay.io/example/sweeper:1.4.2", "quay.io/example/sweeper:does-not-exist")
    place.commit()
    result = place.deploy("-o", "json", "--timeout", "5m")
    assert result.status == 1, result
    ops = [a for a in result.json["apps"] if a["name"] == "ops"][0]
    assert ops["health"] == "Progressing"
    assert "Deployment ops/sweeper: container 'sweeper' of pod 'sweeper-" in ops["message"]
    assert "cannot get its image 'quay.io/example/sweeper:does-not-exist': " in ops["message"]
    assert (OPS, 19, True) in {(c.get("file"), c.get("line"), c.get("changed"))
                               for c in ops["causes"] if "does-not-exist" in c["text"]}
