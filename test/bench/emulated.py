"""An emulator for a row, with the tests' own frame."""
import contextlib
import os
import urllib.parse

import conftest


@contextlib.contextmanager
def day(folder, *options, **kwargs):
    (folder / "necoops.yaml").write_text(conftest.CONFIG)
    emulator = conftest.Emulator(folder, "--run-startup-scripts", *options, **kwargs)
    emulator.path = f"{conftest.BIN}:{os.environ['PATH']}"
    try:
        yield emulator
    finally:
        emulator.stop()


def query_string(query):
    """A logged query as it goes into a URL."""
    return "?" + urllib.parse.urlencode(query, doseq=True) if query else ""
