"""A sweep over many instances, each with 8 KiB of metadata and ten labels; none is past its end."""
import os
import shutil
import time

import conftest

FAR = str(int(time.time()) + 10 * 24 * 3600)
INSTANCE = {
    "name": "neco-build-%d", "zone": "us-central1-a", "status": "RUNNING",
    "machineType": "zones/us-central1-a/machineTypes/n1-standard-1",
    "labels": {"necoops": "managed", "necoops-until": FAR, "necoops-spec": "0" * 32,
               "necoops-repo": "neco-apps", "necoops-ref": "feature-x", "necoops-job": "morning",
               "necoops-build": "4711", "team": "neco", "stage": "dev", "cost": "42"},
    "metadata": {"items": [{"key": "startup-script", "value": "x" * 8192}]},
    "disks": [{"boot": True, "autoDelete": True, "initializeParams": {
        "sourceImage": "projects/neco-test/global/images/family/vmx-enabled",
        "labels": {"necoops": "managed", "necoops-instance": "neco-build"}}}],
    "networkInterfaces": [{"network": "global/networks/default"}],
}


def sweep(bench, folder, count, runs, peer):
    (folder / "necoops.yaml").write_text(conftest.CONFIG)
    emulator = conftest.Emulator(folder, seed={"instances": [{**INSTANCE, "count": count}]})
    try:
        env = {**os.environ, **emulator.env, "GOOGLE_OAUTH_ACCESS_TOKEN": emulator.token(),
               "PATH": f"{conftest.BIN}:{os.environ['PATH']}",
               "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": emulator.url + "/compute/v1/",
               "CLOUDSDK_AUTH_ACCESS_TOKEN": emulator.token(), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
               "CLOUDSDK_CONFIG": str(folder / "gcloud")}
        programs = {"necoops-delete --expired": ["necoops-delete", "--expired", "--yes"]}
        if peer and shutil.which("gcloud"):
            programs["gcloud instances list"] = ["gcloud", "compute", "instances", "list",
                                                 "--project", "neco-test", "--format", "json(name)"]
        bench.compare(f"sweep of {count} instances", programs, runs, env, folder,
                      "10,000: cpu at most 1 s, 64 MiB; linear, memory flat")
    finally:
        emulator.stop()


def run(bench, folder):
    for count, runs, peer in ((10_000, 3, True), (100_000, 1, False)):
        part = folder / str(count)
        part.mkdir()
        sweep(bench, part, count, runs, peer)
