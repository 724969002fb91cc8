"""A 1 GiB object from a loopback server to tmpfs and to disk: checksum verified, against curl and
gcloud."""
import os
import shutil

import served

SIZE = 1 << 30


def write_object(file):
    with open(file, "wb") as out:
        for _ in range(SIZE >> 24):
            out.write(os.urandom(1 << 24))


def against_curl(bench, where, media, to, env, url):
    programs = {"necoops-snapshot-load": served.load(to, "object.bin"),
                "curl -o (verifies nothing)": ["curl", "-sS", "-o", to / "out.bin",
                                               url + "/media/object.bin"],
                "one stage: curl to nowhere": ["curl", "-sS", "-o", "/dev/null",
                                               url + "/media/object.bin"],
                "one stage: cp": ["cp", media / "object.bin", to / "out.bin"],
                **{f"ours, {n} connections": served.load(to, "object.bin", n) for n in (1, 4, 16)}}
    bench.compare(f"1 GiB object, loopback to {where}", programs, 5, env, to,
                  "at most 1.0 of curl -o", served.clean(to), gib=1)


def against_gcloud(bench, to, env, url):
    gcloud = {**env, "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
              "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
              "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
              "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": url + "/storage/v1/",
              "CLOUDSDK_CONFIG": str(to / "gcloud"), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    peers = {"necoops-snapshot-load": served.load(to, "object.bin"),
             "gcloud storage cp": ["gcloud", "storage", "cp", "gs://bench/object.bin",
                                   to / "out.bin"]}
    bench.compare("1 GiB object, the peer", peers, 2, gcloud, to, "at most 0.55 of gcloud",
                  served.clean(to), gib=1)


def run(bench, _):
    with served.memory_folder(4 * SIZE) as folder:
        if not folder or not served.has_server():
            return
        (folder / "media").mkdir()
        write_object(folder / "media" / "object.bin")
        with served.served(folder) as (env, url):
            for where, to in served.places(folder, 3 * SIZE):
                against_curl(bench, where, folder / "media", to, env, url)
            if shutil.which("gcloud"):
                against_gcloud(bench, folder, env, url)
