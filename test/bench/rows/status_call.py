"""One status call: necoops-create on a ready instance, curl with the same requests, gcloud."""
import os
import shutil

import emulated


def run(bench, folder):
    with emulated.day(folder) as emulator:
        made = emulator.run("necoops-create", timeout=60)
        assert made.status == 0, made
        emulator.token()  # the row is about what comes after it
        before = len(emulator.log())
        env = {**os.environ, "PATH": emulator.path, **emulator.env,
               "GOOGLE_OAUTH_ACCESS_TOKEN": emulator.token(), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
               "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": emulator.url + "/compute/v1/",
               "CLOUDSDK_AUTH_ACCESS_TOKEN": emulator.token(),
               "CLOUDSDK_CONFIG": str(folder / "gcloud")}
        ready = emulator.run("necoops-create", env={"GOOGLE_OAUTH_ACCESS_TOKEN": emulator.token()})
        assert ready.status == 0, ready
        requests = emulator.log()[before:]
        argv = ["curl", "-sS", "--fail"]
        for index, entry in enumerate(requests):
            assert entry["method"] == "GET", entry
            argv += ["--next", "-sS", "--fail"] if index else []
            argv += ["-o", "/dev/null", "-H", "Authorization: Bearer " + emulator.token(),
                     emulator.url + entry["path"] + emulated.query_string(entry["query"])]
        programs = {"necoops-create (ready)": ["necoops-create"],
                    f"curl, the same {len(requests)} requests": argv}
        if shutil.which("gcloud"):
            programs["gcloud instances describe"] = [
                "gcloud", "compute", "instances", "describe", "neco-ops", "--project", "neco-test",
                "--zone", ready.json["zone"] if ready.out.startswith("{") else "asia-northeast1-c"]
        bench.compare("one status call", dict(list(programs.items())[:2]), 21, env, folder,
                      "wall and cpu at most 1.4 of curl, 16 MiB")
        if len(programs) == 3:
            del programs[list(programs)[1]]
            bench.compare("one status call, the peer", programs, 3, env, folder)
