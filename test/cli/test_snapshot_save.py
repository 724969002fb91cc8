"""necoops-snapshot-save: what is stored, what a load makes of it, and what is left after a failure."""
import json
import os
import random
import signal
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest

from conftest import wait_for, which
from test_snapshot_load import images, listing  # noqa: F401  (a fixture)

PART = 262144
SAVE, LOAD = "necoops-snapshot-save", "necoops-snapshot-load"
POINTER = "gs://snapshots/dc/current.json"
SEED = {"buckets": {"snapshots": {"objects": {}}}}


def save(emulator, *options, **kwargs):
    """Saves ./images."""
    return emulator.run(SAVE, "--from", "images", "--set", f"snapshot.partSize={PART}", *options,
                        POINTER, **kwargs)


def names(emulator):
    """What is in the bucket."""
    status, value = emulator.api("GET", "/storage/v1/b/snapshots/o")
    assert status == 200, value
    return [item["name"] for item in value.get("items", [])]


def read(emulator, name):
    """The content of an object."""
    request = urllib.request.Request(
        f"{emulator.url}/storage/v1/b/snapshots/o/{urllib.parse.quote(name, safe='')}?alt=media",
        headers={"Authorization": "Bearer " + emulator.token()})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def pointer(emulator):
    """The sets it names, current one first."""
    return json.loads(read(emulator, "dc/current.json"))["sets"]


def load(emulator, to="dest"):
    """Loads the files of the current set."""
    result = emulator.run(LOAD, "--loader", "none", "--to", to, "--set", f"snapshot.partSize={PART}",
                          POINTER)
    assert result.status == 0, result
    return result


def test_round_trip(folder, images, start_emulator):
    emulator = start_emulator(seed=SEED)
    result = save(emulator, "-o", "json", "--tag", "init", "--tag", "other", "--name", "one")
    assert result.status == 0, result
    assert names(emulator) == ["dc/current.json", "dc/sets/one/manifest.json",
                               "dc/sets/one/snapshot.tar.zst"]
    assert pointer(emulator) == [{"manifest": "sets/one/manifest.json"}]
    load(emulator)
    assert listing(folder / "dest") == listing(images)
