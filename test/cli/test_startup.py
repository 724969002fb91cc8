"""The startup script as it runs on an instance, boot by boot, in the emulator's containment."""
import hashlib
import io
import subprocess
import tarfile

import pytest

from conftest import QUICK, ROOT, wait_for, which

RULE = "FORWARD -d 169.254.169.254/32 -j DROP"


@pytest.fixture
def cloud(start_emulator, folder):
    """An emulator in which startup scripts run, with this setup script."""
    def start(setup="#!/bin/sh\nexit 0\n", extra="", **kwargs):
        (folder / "setup.sh").write_text(setup)
        config = (folder / "necoops.yaml").read_text()
        (folder / "necoops.yaml").write_text(config + "  setup: setup.sh\n" + extra)
        return start_emulator("--run-startup-scripts", **{"timings": QUICK, **kwargs})
    return start


def root_file(folder, path):
    """A file of the instance's own root, or None."""
    found = list((folder / "data").glob(f"**/{path}"))
    return found[0] if found else None


def reset(emulator, name="neco-ops"):
    """Boots the instance again."""
    path = emulator.zone_url("asia-northeast1-c", f"instances/{name}/reset")
    emulator.finish_operation("asia-northeast1-c", emulator.api("POST", path))


def phases(emulator):
    """What the console tells of phases."""
    return emulator.run("necoops-status", "-o", "json").json.get("phases", [])


def console(emulator):
    """All of the first serial port."""
    path = emulator.zone_url("asia-northeast1-c", "instances/neco-ops/serialPort?port=1&start=0")
    status, value = emulator.api("GET", path)
    assert status == 200, value
    return value["contents"]


def boot_again(emulator):
    """Boots the instance again and waits until it is ready again."""
    reset(emulator)
    wait_for(lambda: console(emulator).count('"phase":"ready"') == 2)


def archive(*members):
    """A .tar.gz with these (name, text) as programs."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


# ---- as a text ----

def test_as_a_text(folder, start_emulator):
    emulator = start_emulator()
    plan = emulator.run("necoops-create", "--dry-run", "-o", "json").json["request"]
    items = {i["key"]: i["value"] for i in plan["metadata"]["items"]}
    script = folder / "startup.sh"
    script.write_text(items["startup-script"])
    assert items["startup-script"].startswith("#!/bin/bash\nprograms_archive=''\n")
    subprocess.run(["bash", "-n", script], check=True)
    subprocess.run([which("shellcheck"), "-x", script], check=True)
    subprocess.run([which("shellcheck"), "-x", ROOT / "lib/instance/startup.sh"], check=True)


def test_values_cannot_leave_their_quotes(folder, start_emulator):
    emulator = start_emulator()
    evil = "gs://b/o'; touch /tmp/evil; '"
    plan = emulator.run("necoops-create", "--dry-run", "-o", "json", "--set",
                        "snapshot.source=" + evil, "--set",
                        "snapshot.to=/var/scratch/placemat").json["request"]
    items = {i["key"]: i["value"] for i in plan["metadata"]["items"]}
    script = items["startup-script"].partition("\nset -u")[0]
    shown = subprocess.run(["bash", "-c", script + '\nprintf %s "$snapshot_source"'], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    assert shown == evil


# ---- each boot ----

def test_the_metadata_server_is_closed_once(cloud):
    emulator = cloud("#!/bin/sh\niptables -S FORWARD | sed 's/^/rule: /'\n")
    assert emulator.run("necoops-create").status == 0
    boot_again(emulator)
    boots = console(emulator).split("booted again")
    for boot in boots[0], boots[-1]:
        rules = [line for line in boot.splitlines() if "rule: " in line]
        assert len(rules) == 1 and RULE in rules[0], (rules, boots)


# Where a machine has no namespaces, what is mounted is a link below its own root.
MOUNTED = ("#!/bin/sh\nset -e\nscratch=$NECOOPS_ROOT/var/scratch\n"
           "mountpoint -q $scratch || [ -L $scratch ]\n")


def test_a_boot_keeps_what_is_on_the_disk(cloud):
    emulator = cloud(MOUNTED + "echo boot >> $scratch/boots\necho \"boots: $(wc -l < $scratch/boots)\"\n",
                     extra="  localSsds: 1\n")
    made = emulator.run("necoops-create", "--follow")
    assert made.status == 0 and "boots: 1" in made.err, made
    boot_again(emulator)
    assert "boots: 2" in console(emulator)
    told = phases(emulator)
    assert [p["message"] for p in told if p["phase"] == "boot"] == ["first boot", "booted again"]
    assert len({p["bootId"] for p in told}) == 2
    assert emulator.run("necoops-create").status == 0, "ready again"


def test_several_disks_are_one(cloud):
    emulator = cloud(MOUNTED + "echo $scratch\n", extra="  localSsds: 2\n")
    made = emulator.run("necoops-create", "--follow")
    assert made.status == 0, made
    assert "/var/scratch" in made.err


# ---- programs ----

def programs(cloud, text, sha256=None):
    """An emulator with an archive of programs, and the options that pin it."""
    digest = sha256 or hashlib.sha256(text).hexdigest()
    def start(folder, **kwargs):
        (folder / "programs.tar.gz").write_bytes(text)
        objects = {"necoops.tar.gz": {"file": str(folder / "programs.tar.gz")}}
        return cloud(seed={"buckets": {"neco-tools": {"objects": objects}}}, **kwargs)
    return start, ["--set", "instance.programs.archive=gs://neco-tools/necoops.tar.gz",
                   "--set", f"instance.programs.sha256={digest}"]


def test_pinned_programs_are_installed(cloud, folder):
    start, options = programs(cloud, archive(("bin/hello", "#!/bin/sh\necho hello from the archive\n")))
    emulator = start(folder, setup="#!/bin/sh\nhello\n")
    made = emulator.run("necoops-create", "--follow", *options)
    assert made.status == 0, made
    assert "hello from the archive" in made.err
    reads = emulator.calls("GET", "/necoops.tar.gz")
    assert len(reads) == 1 and reads[0]["query"]["alt"] == "media"
    boot_again(emulator)
    assert len(emulator.calls("GET", "/necoops.tar.gz")) == 1, "it is there already"


def test_pinned_programs_come_before_those_of_the_image(cloud, folder):
    start, options = programs(cloud, archive(("bin/sha256sum", "#!/bin/sh\necho the pinned one\n")))
    emulator = start(folder, setup="#!/bin/sh\nsha256sum\n")
    made = emulator.run("necoops-create", "--follow", *options)
    assert made.status == 0 and "the pinned one" in made.err, made


def test_programs_that_do_not_run_here(cloud, folder):
    start, options = programs(cloud, archive(
        ("bin/necoops-status", "#!/bin/sh\necho \"version 'GLIBC_2.99' not found\" >&2\nexit 1\n")))
    emulator = start(folder)
    made = emulator.run("necoops-create", *options)
    assert made.status == 1, made
    assert made.err.splitlines()[-1] == (
        "necoops-create: error: the setup of 'neco-ops' failed: programs: "
        "gs://neco-tools/necoops.tar.gz does not run on this image: necoops-status: "
        "version 'GLIBC_2.99' not found")
    assert emulator.instances() == []


def test_other_programs_are_refused(cloud, folder):
    start, options = programs(cloud, archive(("bin/hello", "#!/bin/sh\ntouch /evil\n")),
                              sha256="0" * 64)
    emulator = start(folder, setup="#!/bin/sh\nhello\n")
    made = emulator.run("necoops-create", *options)
    assert made.status == 1, made
    assert made.err.splitlines()[-1] == (
        "necoops-create: error: the setup of 'neco-ops' failed: programs: "
        "gs://neco-tools/necoops.tar.gz has not the SHA-256 " + "0" * 64)
    assert root_file(folder, "opt/necoops/bin/hello") is None
    assert emulator.instances() == []


def test_programs_that_are_no_archive(cloud, folder):
    start, options = programs(cloud, b"no archive")
    made = start(folder).run("necoops-create", *options)
    assert made.status == 1 and "is no archive" in made.err, made


def test_programs_that_are_missing(cloud):
    emulator = cloud(seed={"buckets": {"neco-tools": {}}})
    made = emulator.run("necoops-create", "--set", "instance.programs.archive=gs://neco-tools/x.tgz",
                        "--set", "instance.programs.sha256=" + "1" * 64)
    assert made.status == 1 and "gs://neco-tools/x.tgz could not be read" in made.err, made


@pytest.mark.parametrize("sha256, words", [
    ("12ab", "64 lower case hexadecimal digits"), ("G" * 64, "64 lower case hexadecimal digits")])
def test_a_wrong_pin_is_told_before(sha256, words, cloud):
    emulator = cloud()
    made = emulator.run("necoops-create", "--set", "instance.programs.archive=gs://b/x.tgz",
                        "--set", f"instance.programs.sha256={sha256}")
    assert made.status == 2 and words in made.err and emulator.log() == [], made


# ---- the team's setup ----

def test_a_setup_lies_where_programs_may_run(cloud):
    """Debian mounts /run noexec."""
    made = cloud("#!/bin/sh\necho \"it is $0\"\n").run("necoops-create", "--follow")
    assert made.status == 0 and "/var/lib/necoops/setup" in made.err, made


def test_a_setup_that_is_missing(cloud):
    emulator = cloud()
    made = emulator.run("necoops-create", "--set", "instance.setup=nowhere.sh")
    assert made.status == 2 and "instance.setup: " in made.err and "nowhere.sh" in made.err, made
    assert emulator.log() == []


def test_a_setup_that_is_no_script(cloud):
    made = cloud("echo hello\n").run("necoops-create")
    assert made.status == 2 and "does not begin with '#!'" in made.err, made


def test_a_setup_that_is_too_large(cloud):
    emulator = cloud("#!/bin/sh\n" + "#" * 262144 + "\n")
    made = emulator.run("necoops-create")
    assert made.status == 2 and emulator.log() == [], made


def test_no_setup_at_all(start_emulator):
    emulator = start_emulator("--run-startup-scripts", timings=QUICK)
    made = emulator.run("necoops-create")
    assert made.status == 0, made


def test_a_setup_is_killed_by_a_signal(cloud):
    made = cloud("#!/bin/sh\necho last words\nkill -9 $$\n").run("necoops-create")
    assert made.status == 1, made
    assert "the setup of 'neco-ops' failed: setup: status 137: last words" in made.err


def test_a_setup_takes_too_long(cloud):
    made = cloud("#!/bin/sh\nsleep 60\n").run("necoops-create", "--set", "instance.setupTimeout=2s")
    assert made.status in (1, 6), made
    assert "setup: not done within 2 seconds" in made.err or "timed out" in made.err, made


def test_a_snapshot_without_the_program(cloud):
    emulator = cloud("#!/bin/sh\nexit 0\n")
    made = emulator.run("necoops-create", "--set", "snapshot.source=gs://neco-snapshots/none.tar.zst",
                        "--set", "snapshot.to=/var/scratch/placemat")
    assert made.status == 1, made
    assert "the setup of 'neco-ops' failed: snapshot: " in made.err


def test_the_configuration_is_on_the_instance(cloud):
    emulator = cloud("#!/bin/sh\necho \"conf: $(grep -c '\"zones\"' \"$NECOOPS_CONFIG\")\"\n")
    made = emulator.run("necoops-create", "--follow")
    assert made.status == 0 and "conf: 1" in made.err, made
