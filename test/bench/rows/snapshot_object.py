"""A 1 GiB object from a loopback server to tmpfs: checksum verified, against curl and gcloud."""
import os
import shutil

import served

SIZE = 1 << 30


def run(bench, _):
    with served.memory_folder(4 * SIZE) as folder:
        if not folder or not shutil.which("nginx"):
            return
        (folder / "media").mkdir()
        with open(folder / "media" / "object.bin", "wb") as file:
            for _ in range(SIZE >> 24):
                file.write(os.urandom(1 << 24))
        with served.served(folder) as (env, url):
            def load(connections):
                return ["necoops-snapshot-load", "-q", "--loader", "none", "--to", folder / "out",
                        "--connections", connections, "gs://bench/object.bin"]
            programs = {"necoops-snapshot-load": load(8),
                        "curl -o (verifies nothing)": [
                            "curl", "-sS", "-o", folder / "out.bin", url + "/media/object.bin"],
                        "ours, 1 connection": load(1), "ours, 4 connections": load(4),
                        "ours, 16 connections": load(16)}
            bench.compare("1 GiB object, loopback to tmpfs", programs, 5, env, folder,
                          "at most 1.0 of curl -o", served.clean(folder))
            if shutil.which("gcloud"):
                gcloud = {**env, "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
                          "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
                          "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
                          "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": url + "/storage/v1/",
                          "CLOUDSDK_CONFIG": str(folder / "gcloud"),
                          "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
                peers = {"necoops-snapshot-load": load(8),
                         "gcloud storage cp": ["gcloud", "storage", "cp", "gs://bench/object.bin",
                                               folder / "out.bin"]}
                bench.compare("1 GiB object, the peer", peers, 2, gcloud, folder,
                              "at most 0.55 of gcloud", served.clean(folder))
