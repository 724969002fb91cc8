"""kubectl on the emulator's clusters: it lists, applies, watches, patches, waits and deletes."""
import json
import os

import pytest
from conftest import PATIENCE, wait_for

KUBECTL = os.environ.get("KUBECTL", "kubectl")

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, labels: {app: NAME}}
spec:
  replicas: 2
  progressDeadlineSeconds: DEADLINE
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - {name: web, image: "IMAGE", ports: [{containerPort: 80}]}
"""

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.demo.io}
spec:
  group: demo.io
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, required: [size], properties: {size: {type: integer}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""

WIDGET = """
apiVersion: demo.io/v1
kind: Widget
metadata: {name: w}
spec: {size: 3}
"""


class Kubectl:
    """kubectl with the kubeconfig of one cluster, in a namespace of the test's own."""

    def __init__(self, emulator, folder):
        self.emulator, self.folder = emulator, folder
        self.env = {"KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder)}
        wait_for(lambda: self.raw("get", "--raw", "/readyz").out == "ok")
        self("create", "namespace", "demo")
        wait_for(lambda: self.raw("get", "serviceaccount", "default", "-n", "demo").status == 0)
        self("config", "set-context", "--current", "--namespace=demo")

    def raw(self, *args):
        return self.emulator.run(KUBECTL, *args, env=self.env)

    def __call__(self, *args):
        """Runs it; it must end with 0."""
        result = self.raw(*args)
        assert result.status == 0, result
        return result.out

    def apply(self, text, *args):
        file = self.folder / "manifest.yaml"
        file.write_text(text)
        return self("apply", "-f", file, *args)

    def refused(self, *args):
        """Runs it; it must fail. What it says."""
        result = self.raw(*args)
        assert result.status != 0, result
        return result.err

    def json(self, *args):
        return json.loads(self(*args, "-o", "json"))


@pytest.fixture
def kubectl(request, start_emulator, folder):
    version = getattr(request, "param", "v1.27.16")
    cluster = {"nodes": 2, "version": version, "kubeconfig": str(folder / "kubeconfig")}
    return Kubectl(start_emulator(seed={"clusters": {"demo": cluster}}), folder)


# Where what a Kubernetes version serves makes a difference to kubectl.
old_and_new = pytest.mark.parametrize("kubectl", ["v1.20.15", "v1.27.16", "v1.32.0"], indirect=True)


def deployment(name="web", image="nginx:1.25", deadline=600):
    text = DEPLOYMENT.replace("NAME", name).replace("IMAGE", image)
    return text.replace("DEADLINE", str(deadline))


@old_and_new
def test_applies_as_client_and_as_server(kubectl):
    assert "deployment.apps/web created" in kubectl.apply(deployment())
    assert "deployment.apps/web unchanged" in kubectl.apply(deployment())
    assert "configured" in kubectl.apply(deployment(image="nginx:1.26"))
    assert "serverside-applied" in kubectl.apply(deployment("other"), "--server-side")
    kubectl("scale", "deployment/other", "--replicas=5")
    said = kubectl.refused("apply", "--server-side", "-f", kubectl.folder / "manifest.yaml")
    assert "conflict with" in said and ".spec.replicas" in said
    kubectl.apply(deployment("other"), "--server-side", "--force-conflicts")
    assert kubectl.json("get", "deployment", "other")["spec"]["replicas"] == 2


def test_rolls_out_and_reads(kubectl):
    kubectl.apply(deployment())
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web",
                                                "--timeout=3m")
    lines = kubectl("get", "deployment,pods", "-o", "wide").splitlines()
    assert any(line.split()[:2] == ["deployment.apps/web", "2/2"] for line in lines)
    assert sum("Running" in line for line in lines) == 2
    assert "MinimumReplicasAvailable" in kubectl("describe", "deployment", "web")
    assert "ready" in kubectl("logs", "deployment/web")
    assert "Scaled up replica set" in kubectl("get", "events")
    kubectl("set", "image", "deployment/web", "web=nginx:1.26")
    kubectl("rollout", "status", "deployment/web", "--timeout=3m")
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=3m")
    container = kubectl.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "nginx:1.25"


def test_tells_what_is_broken(kubectl):
    kubectl.apply(deployment("broken", "registry.invalid/web:1", deadline=2))
    said = kubectl.refused("rollout", "status", "deployment/broken", "--timeout=3m")
    assert "exceeded its progress deadline" in said
    pods = kubectl("get", "pods")
    assert "ErrImagePull" in pods or "ImagePullBackOff" in pods
    assert 'Failed to pull image "registry.invalid/web:1"' in kubectl("get", "events")
    assert "trying and failing to pull image" in kubectl.refused("logs", "deployment/broken")


def test_patches_labels_and_edits(kubectl):
    kubectl.apply(deployment())
    kubectl("label", "deployment/web", "tier=front")
    kubectl("annotate", "deployment/web", "note=x")
    env = [{"name": "A", "value": "b"}]
    kubectl("patch", "deployment", "web", "-p", json.dumps(
        {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": env}]}}}}))
    kubectl("patch", "deployment", "web", "--type=json", "-p",
            '[{"op": "replace", "path": "/spec/replicas", "value": 1}]')
    kubectl("patch", "deployment", "web", "--type=merge", "-p",
            '{"metadata": {"annotations": {"note": null}}}')
    now = kubectl.json("get", "deployment", "web")
    container = now["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == env and container["image"] == "nginx:1.25"
    assert now["spec"]["replicas"] == 1
    assert now["metadata"]["labels"]["tier"] == "front"
    assert "note" not in now["metadata"]["annotations"]
    assert "field is immutable" in kubectl.refused(
        "patch", "deployment", "web", "--type=merge", "-p",
        '{"spec": {"selector": {"matchLabels": {"app": "x"}}, '
        '"template": {"metadata": {"labels": {"app": "x"}}}}}')


def test_watches(kubectl):
    watch = kubectl.emulator.popen(KUBECTL, "get", "configmaps", "-w", "--selector=seen=yes", "-o",
                                   "jsonpath={.metadata.name} {.data.n}{\"\\n\"}",
                                   env=kubectl.env)
    try:
        wait_for(lambda: kubectl.emulator.calls("GET", "/configmaps"))
        kubectl("create", "configmap", "one", "--from-literal=n=1")
        kubectl("label", "configmap", "one", "seen=yes")
        assert watch.stdout.readline() == "one 1\n"
        kubectl("patch", "configmap", "one", "--type=merge", "-p", '{"data": {"n": "2"}}')
        assert watch.stdout.readline() == "one 2\n"
    finally:
        watch.terminate()
        watch.communicate(timeout=PATIENCE)


@old_and_new
def test_custom_resources(kubectl):
    kubectl.apply(CRD)
    kubectl("wait", "--for=condition=Established", "crd/widgets.demo.io", "--timeout=3m")
    assert "widget.demo.io/w created" in kubectl.apply(WIDGET)
    assert "unchanged" in kubectl.apply(WIDGET)
    assert kubectl("get", "wd").splitlines()[1].split() == ["w", "3"]
    kubectl.apply(WIDGET.replace("3", "4"), "--server-side", "--force-conflicts")
    assert kubectl.json("get", "widget", "w")["spec"]["size"] == 4
    (kubectl.folder / "manifest.yaml").write_text(WIDGET.replace("3", "three"))
    said = kubectl.refused("apply", "-f", kubectl.folder / "manifest.yaml")
    assert "spec.size in body must be of type integer" in said
    kubectl("delete", "crd", "widgets.demo.io")
    assert "widgets" not in kubectl("api-resources")


def test_asks_who_may(kubectl):
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
    kubectl("create", "rolebinding", "reader", "--role=reader", "--user=ann")
    assert kubectl("auth", "can-i", "list", "pods", "--as=ann") == "yes\n"
    assert kubectl.raw("auth", "can-i", "delete", "pods", "--as=ann").out == "no\n"
    said = kubectl.refused("delete", "pod", "x", "--as=ann")
    assert ('pods "x" is forbidden: User "ann" cannot delete resource "pods" in API group "" in the '
            'namespace "demo"') in said


def test_deletes(kubectl):
    kubectl.apply(deployment())
    kubectl("rollout", "status", "deployment/web", "--timeout=3m")
    kubectl("delete", "deployment", "web")
    wait_for(lambda: kubectl("get", "pods,replicasets", "-o", "name") == "")
    kubectl.apply(deployment())
    kubectl("delete", "namespace", "demo", "--timeout=3m")
    assert "not found" in kubectl.refused("get", "namespace", "demo")
