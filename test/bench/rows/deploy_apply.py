"""500 objects applied on the server's side: --bootstrap of a commit that is live already."""
import applied

COUNT = 500
OBJECT = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: object-{n:03}
  namespace: objects
  labels: {{app.kubernetes.io/name: objects, app.kubernetes.io/part-of: bench}}
data:
  number: "{n}"
  settings: |
    first = {n}
    second = a line of text as such files have it
    third = another one, somewhat longer than the one before
"""


def run(bench, folder):
    with applied.cluster(folder) as place:
        file = folder / "objects.yaml"
        file.write_text("---\n".join(OBJECT.format(n=n) for n in range(COUNT)))
        place.configure("argocd: {manifests: [objects.yaml]}\n")
        place.kubectl("create", "namespace", "objects")
        first = place.deploy()
        assert first.status == 0, first
        programs = {
            "necoops-deploy --bootstrap": ["necoops-deploy", "-c", folder / "necoops.yaml",
                                           "--no-check", "--bootstrap"],
            "kubectl apply --server-side": ["kubectl", "--kubeconfig", folder / "kubeconfig", "apply",
                                            "--server-side", "-f", file],
        }

        def forget():
            status = place.ask("DELETE", "/api/v1/namespaces/objects/configmaps?"
                               "labelSelector=app.kubernetes.io/part-of%3Dbench")
            assert status == 200, status

        bound = "wall 0.6, cpu 0.1"
        bench.compare(f"{COUNT} objects, for the first time", programs, 5, place.env, place.clone,
                      bound, clean=forget)
        bench.compare(f"{COUNT} objects, once more", programs, 5, place.env, place.clone, bound)
