"""A cluster with Argo CD and an apps repository, for the rows of deploy."""
import contextlib
import os
import pathlib

import conftest
from racing import Race


@contextlib.contextmanager
def cluster(folder, **kwargs):
    """A place as the tests have it; `env` is what a program needs beside it."""
    emulators = []

    def start(*options, **more):
        emulators.append(conftest.Emulator(folder, *options, **more))
        return emulators[-1]

    try:
        place = Race(folder, start, **kwargs)
        place.env = {**os.environ, **place.emulator.env,
                     "PATH": f"{conftest.BIN}:{os.environ['PATH']}"}
        yield place
    finally:
        for emulator in emulators:
            emulator.stop()


def git_only(folder):
    """A PATH with our programs and git, and no kustomize."""
    bare = pathlib.Path(folder) / "path"
    bare.mkdir()
    for program in [*conftest.BIN.iterdir(), *(pathlib.Path(d) / "git" for d in ("/usr/bin",))]:
        (bare / program.name).symlink_to(program)
    return str(bare)
