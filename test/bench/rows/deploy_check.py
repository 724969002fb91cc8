"""--check over a generated repository of 800 manifests, where there is no kustomize."""
import statistics

import applied
import conftest

APPS, EACH = 40, 20  # 20 manifests an app: half of them in a base, the rest beside the kustomization


def manifest(app, n):
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: part-{n}
  namespace: {app}
  labels: {{app.kubernetes.io/name: part-{n}, app.kubernetes.io/part-of: {app}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app.kubernetes.io/name: part-{n}}}}}
  template:
    metadata: {{labels: {{app.kubernetes.io/name: part-{n}}}}}
    spec:
      containers:
      - name: main
        image: quay.io/example/part:{n}
        args: [--listen, ":8080", --level, info]
        ports: [{{name: http, containerPort: 8080}}]
        resources: {{requests: {{cpu: 10m, memory: 32Mi}}, limits: {{cpu: 100m, memory: 64Mi}}}}
        readinessProbe: {{httpGet: {{path: /health, port: http}}}}
"""


def fill(place):
    base = place.clone / "argocd-config/base"
    template = (base / "ops.yaml").read_text()
    names = [f"app-{i:02}" for i in range(APPS)]
    for name in names:
        for part, first in (("base", 0), ("overlays/gcp", EACH // 2)):
            folder = place.clone / name / part
            folder.mkdir(parents=True)
            files = [f"part-{n}.yaml" for n in range(first, first + EACH // 2)]
            for n, file in enumerate(files, first):
                (folder / file).write_text(manifest(name, n))
            above = ["../../base"] if first else []
            (folder / "kustomization.yaml").write_text(
                "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
                + "".join(f"- {item}\n" for item in above + files))
        (base / f"{name}.yaml").write_text(template.replace("name: ops", f"name: {name}").replace(
            "path: ops", f"path: {name}/overlays/gcp"))
    place.edit("argocd-config/base/kustomization.yaml", "resources:\n",
               "resources:\n" + "".join(f"- {name}.yaml\n" for name in names))
    place.commit()


def run(bench, folder):
    with applied.cluster(folder) as place:
        fill(place)
        env = {**conftest.clean_environ(), "PATH": applied.git_only(folder)}
        argv = ["necoops-deploy", "-c", folder / "necoops.yaml", "--check"]
        samples = [bench.measure(argv, env, place.clone) for _ in range(6)][1:]
    print(f"\n--check of {APPS * EACH} manifests without kustomize   (bound: 1000 ms)\n"
          f"  median {statistics.median(s.wall for s in samples) * 1000:.0f} ms, "
          f"{statistics.median(s.cpu for s in samples) * 1000:.0f} ms CPU, "
          f"{max(s.rss for s in samples) / 2**20:.1f} MiB")
