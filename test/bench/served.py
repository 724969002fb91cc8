"""Objects served by nginx as Cloud Storage serves them, so that the server is not the bottleneck."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.parse

import conftest

NGINX = """
{user} worker_processes 1; daemon off; pid {top}/pid; error_log {top}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {top}/t1; proxy_temp_path {top}/t2; fastcgi_temp_path {top}/t3;
  uwsgi_temp_path {top}/t4; scgi_temp_path {top}/t5;
  server {{
    listen 127.0.0.1:{port}; root {top};
    location ~ ^/(download/)?storage/v1/b/bench/o/(?<object>[^/]+)$ {{
      if ($arg_alt = media) {{ rewrite ^ /media/$object last; }}
      default_type application/json; alias {top}/meta/$object;
    }}
    location /media/ {{ default_type application/octet-stream; }}
  }}
}}
"""


@contextlib.contextmanager
def memory_folder(need):
    """A folder on tmpfs with that much room; skips the row when there is none."""
    if not os.path.isdir("/dev/shm") or shutil.disk_usage("/dev/shm").free < need:
        print(f"  skipped: /dev/shm has no {need >> 30} GiB free")
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="necoops-bench-", dir="/dev/shm") as folder:
        yield pathlib.Path(folder)


@contextlib.contextmanager
def disk_folder(need):
    """A folder on a disk with that much room; None when there is none."""
    with tempfile.TemporaryDirectory(prefix="necoops-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")
                                     ) as folder:
        kind = subprocess.run(["stat", "-fc", "%T", folder], stdout=subprocess.PIPE, text=True)
        if kind.stdout.strip() == "tmpfs" or shutil.disk_usage(folder).free < need:
            print(f"  skipped: {folder} is no disk with {need >> 30} GiB free")
            yield None
        else:
            yield pathlib.Path(folder)


def places(memory, need):
    """Where a download can go to: (what it is called, folder)."""
    yield "tmpfs", memory
    with disk_folder(need) as disk:
        if disk:
            yield "disk", disk


def has_server():
    """Is there an nginx? Else the row is skipped, and that is said."""
    if not shutil.which("nginx"):
        print("  skipped: nginx is not installed")
    return shutil.which("nginx") is not None


def load(to, name, connections=8):
    """Ours: the object of that name into TO/out."""
    return ["necoops-snapshot-load", "-q", "--loader", "none", "--to", to / "out", "--connections",
            connections, f"gs://bench/{name}"]


def describe(folder, files, url):
    """What Cloud Storage says of each object, as the emulator knows it."""
    seed = {"buckets": {"bench": {"objects": {f.name: {"file": str(f)} for f in files}}}}
    emulator = conftest.Emulator(folder, seed=seed)
    try:
        (folder / "meta").mkdir()
        for file in files:
            status, value = emulator.api("GET", "/storage/v1/b/bench/o/"
                                         + urllib.parse.quote(file.name, safe=""))
            assert status == 200, value
            value["mediaLink"] = (f"{url}/download/storage/v1/b/bench/o/{file.name}"
                                  f"?generation={value['generation']}&alt=media")
            (folder / "meta" / file.name).write_text(json.dumps(value))
    finally:
        emulator.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)


@contextlib.contextmanager
def served(folder, port=18473, within=()):
    """Serves FOLDER/media; yields the environment for our programs and the URL for others. `within`:
    what a command is started with to run where the server is to be."""
    url = f"http://127.0.0.1:{port}"
    (folder / "emulator").mkdir()
    describe(folder / "emulator", sorted((folder / "media").iterdir()), url)
    (folder / "emulator" / "meta").rename(folder / "meta")
    # Started by root, its workers would be somebody who may not look into the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(top=folder, port=port, user=user))
    server = subprocess.Popen([*within, "nginx", "-c", folder / "nginx.conf"],
                              stderr=subprocess.DEVNULL)
    try:
        while not (folder / "pid").exists():
            assert server.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.02)
        yield {**os.environ, "PATH": f"{conftest.BIN}:{os.environ['PATH']}",
               "STORAGE_EMULATOR_HOST": url, "GOOGLE_OAUTH_ACCESS_TOKEN": "bench"}, url
    finally:
        server.terminate()
        server.wait()


def clean(folder):
    """Removes what a run made."""
    def run():
        shutil.rmtree(folder / "out", ignore_errors=True)
        (folder / "out.bin").unlink(missing_ok=True)
        (folder / ".out.necoops.json").unlink(missing_ok=True)
        (folder / "out").mkdir()
        os.sync()  # what was written before is not written out while others are measured
    run()
    return run
