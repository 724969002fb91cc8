"""2 GiB of VM images, half holes, from tmpfs to the emulator: packed, uploaded, made current."""
import os
import shutil
import urllib.parse

import conftest
import served
from rows.snapshot_images import write_images

SEED = {"buckets": {"bench": {"objects": {}}}}


def delete_objects(emulator):
    """Removes what a run stored."""
    def run():
        _, value = emulator.api("GET", "/storage/v1/b/bench/o")
        for item in value.get("items", []):
            emulator.api("DELETE", "/storage/v1/b/bench/o/" + urllib.parse.quote(item["name"], safe=""))
    return run


def peers(emulator, env):
    """What people use today."""
    pack = "tar -C images -cSf - . | zstd -q -T0"
    url = emulator.url + "/upload/storage/v1/b/bench/o?uploadType=media&name=peer"
    curl = f"curl -sSf -H 'Authorization: Bearer {emulator.token()}' -X POST -T - '{url}'"
    found = {"tar -cS | zstd -T0 | curl": ["sh", "-c", f"{pack} | {curl} >/dev/null"],
             "one stage: tar -cS": ["sh", "-c", "tar -C images -cSf - . | cat >/dev/null"],
             "two stages: tar -cS | zstd -T0": ["sh", "-c", f"{pack} >/dev/null"]}
    if shutil.which("gcloud"):
        env.update({"CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
                    "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
                    "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
                    "CLOUDSDK_CONFIG": str(emulator.folder / "gcloud"),
                    "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": emulator.url + "/storage/v1/",
                    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(emulator.folder / "token")})
        (emulator.folder / "token").write_text(emulator.token())
        found["tar -cS | zstd -T0 | gcloud cp"] = [
            "sh", "-c", f"{pack} | gcloud storage cp - gs://bench/peer"]
    return found


def run(bench, _):
    with served.memory_folder(6 << 30) as folder:
        if not folder:
            return
        write_images(folder / "images")
        emulator = conftest.Emulator(folder, seed=SEED)
        env = {**os.environ, **emulator.env, "GCE_METADATA_HOST": "127.0.0.1:9",
               "PATH": f"{conftest.BIN}:{os.environ['PATH']}"}
        try:
            ours = ["necoops-snapshot-save", "-q", "--from", folder / "images",
                    "gs://bench/current.json"]
            bench.compare("2 GiB of images, half holes, saved from tmpfs to the emulator",
                          {"necoops-snapshot-save": ours, **peers(emulator, env)}, 3, env, folder,
                          clean=delete_objects(emulator))
        finally:
            emulator.stop()
