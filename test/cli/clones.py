"""Repositories of tests: a bare one, which is what the emulator mirrors, and a clone to work in."""
import shutil
import subprocess

from conftest import ROOT, clean_environ

REPO = "https://github.com/example/rehearsal.git"


class Clone:
    """A clone of `origin`, by way of folder/apps.git."""

    def __init__(self, folder, origin):
        self.folder = folder
        self.bare, self.clone = folder / "apps.git", folder / "clone"
        self.git("clone", "-q", "--bare", origin, self.bare, cwd=folder)
        self.git("clone", "-q", self.bare, self.clone, cwd=folder)

    def git(self, *args, cwd=None):
        """Runs git in the clone; what it prints."""
        env = clean_environ(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null",
                            GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@example.com",
                            GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@example.com")
        return subprocess.run(["git", *map(str, args)], cwd=cwd or self.clone, env=env, check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()

    def head(self, revision="HEAD"):
        return self.git("rev-parse", revision)

    def edit(self, path, old, new):
        file = self.clone / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    def commit(self, message="change", push=True):
        self.git("add", "-A")
        self.git("commit", "-qm", message, "--allow-empty")
        if push:
            self.git("push", "-q", "origin", "HEAD")
        return self.head()


class Rehearsal(Clone):
    """The rehearsal's apps, which the configuration knows as REPO."""

    def __init__(self, folder):
        first = folder / "first"
        shutil.copytree(ROOT / "examples/rehearsal/apps", first)
        self.git("init", "-q", "-b", "master", cwd=first)
        self.git("add", "-A", cwd=first)
        self.git("commit", "-qm", "first", cwd=first)
        super().__init__(folder, first)
        self.git("remote", "set-url", "origin", REPO)
        self.git("config", f"url.{self.bare}.insteadOf", REPO)
