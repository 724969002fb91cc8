"""A real QEMU, without hardware help: snapshotted, saved, loaded elsewhere, and it runs on.

The guest is a boot sector that counts. Its counter is in memory alone, so what a new QEMU prints first
tells whether it went on from the snapshot or was booted anew.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from conftest import PATIENCE, wait_for, which

SAVE, LOAD = "necoops-snapshot-save", "necoops-snapshot-load"
POINTER = "gs://snapshots/current.json"
NODES = ("node1", "node2")


def boot_sector():
    """Real-mode code at 0x7c00: once a timer tick a word in memory goes up by one and is printed on the
    first serial port, as four hexadecimal digits and a newline."""
    put = bytes.fromhex("50"        # push ax
                        "bafd03"    # mov dx, 0x3fd      line status
                        "ec"        # in al, dx
                        "a820"      # test al, 0x20      room to send?
                        "74fb"      # jz -5
                        "58"        # pop ax
                        "baf803"    # mov dx, 0x3f8
                        "ee"        # out dx, al
                        "c3")       # ret
    start = bytes.fromhex("fa"              # cli
                          "31c0"            # xor ax, ax
                          "8ed8" "8ed0"     # mov ds, ax; mov ss, ax
                          "bc007c"          # mov sp, 0x7c00
                          "fb"              # sti
                          "c70600060000")   # mov word [0x600], 0
    count = bytes.fromhex("ff060006"        # inc word [0x600]
                          "8b1e0006"        # mov bx, [0x600]
                          "b90400")         # mov cx, 4
    digit = bytes.fromhex("c1c304"          # rol bx, 4
                          "88d8" "240f"     # mov al, bl; and al, 15
                          "0430"            # add al, '0'
                          "3c3a" "7202"     # cmp al, ':'; jb +2
                          "0427")           # add al, 'a' - ':'
    code = bytearray(start + count)
    again = len(start)
    digits = len(code)
    code += digit
    calls = [len(code)]
    code += b"\xe8\0\0"                             # call put
    code += b"\xe2" + struct.pack("b", digits - len(code) - 2)  # loop digits
    code += b"\xb0\x0a"                             # mov al, '\n'
    calls.append(len(code))
    code += b"\xe8\0\0\xf4"                         # call put; hlt
    code += b"\xeb" + struct.pack("b", again - len(code) - 2)   # jmp again
    for at in calls:
        code[at + 1:at + 3] = struct.pack("<h", len(code) - at - 3)
    code += put
    return bytes(code).ljust(510, b"\0") + b"\x55\xaa"


def make_disk(path):
    """A disk that boots it."""
    path.parent.mkdir(parents=True)
    raw = path.with_suffix(".raw")
    raw.write_bytes(boot_sector())
    with open(raw, "ab") as file:
        file.truncate(8 << 20)
    subprocess.run([which("qemu-img"), "convert", "-O", "qcow2", raw, path], check=True)
    raw.unlink()


def qemu_argv(disk, run):
    """A small machine with this disk; its monitor and its serial port are files below `run`."""
    return [which("qemu-system-x86_64"), "-accel", "tcg", "-machine", "pc", "-m", "16M", "-nodefaults",
            "-display", "none", "-blockdev",
            f"driver=qcow2,node-name=disk0,file.driver=file,file.filename={disk}",
            "-device", "ide-hd,drive=disk0", "-serial", f"file:{run}/serial",
            "-qmp", f"unix:{run}/qmp,server=on,wait=off"]


class Monitor:
    """QEMU's monitor, as its documentation describes it."""

    def __init__(self, path):
        def connect():
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
            except OSError:
                self.socket.close()
                return False
            return True
        wait_for(connect, what=f"the monitor {path}")
        self.socket.settimeout(PATIENCE)
        self.file = self.socket.makefile("rw")
        assert "QMP" in json.loads(self.file.readline())
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "event" not in answer:
                assert "return" in answer, (command, answer)
                return answer["return"]

    def close(self):
        self.file.close()
        self.socket.close()

    def savevm(self, tag):
        """With the command of the human monitor."""
        assert self("human-monitor-command", **{"command-line": f"savevm {tag}"}) == ""

    def snapshot_save(self, tag):
        """With the job of newer versions."""
        self("snapshot-save", **{"job-id": "save", "tag": tag, "vmstate": "disk0", "devices": ["disk0"]})

        def done():
            job = [j for j in self("query-jobs") if j["id"] == "save"][0]
            assert "error" not in job, job
            return job["status"] == "concluded"
        wait_for(done, what="the snapshot")
        self("job-dismiss", id="save")


def counted(run):
    """What the guest has printed, whole lines only; the first one may be the end of one."""
    file = run / "serial"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [int(line, 16) for line in lines if len(line) == 4]


@pytest.fixture
def machines(folder):
    """Starts VMs, which are gone after the test whatever happens; their folders are short, because the
    path of a socket must be."""
    processes = []

    def start(name, disk, *options):
        run = folder / name
        run.mkdir()
        process = subprocess.Popen([*qemu_argv(disk, name), *options], cwd=folder,
                                   stdin=subprocess.DEVNULL)
        processes.append(process)
        return run, process
    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def snapshotted(folder, machines):
    """./images with two VMs' disks, each with a snapshot 'init'; what each had counted by then."""
    counts = {}
    for node in NODES:
        make_disk(folder / "images" / node / "disk.qcow2")
    started = {node: machines(f"old-{node}", f"images/{node}/disk.qcow2") for node in NODES}
    for node, (run, process) in started.items():
        wait_for(lambda run=run: len(counted(run)) > 20, what="the guest's counting")
        monitor = Monitor(run / "qmp")
        monitor("stop")
        (monitor.savevm if node == "node1" else monitor.snapshot_save)("init")
        counts[node] = counted(run)[-1]
        monitor.close()
    yield counts, [process for _, process in started.values()]


def start_script(folder):
    """What starts the VMs on the files that were loaded: paused, and left to themselves."""
    lines = ["#!/bin/sh", "set -e"]
    for node in NODES:
        argv = qemu_argv(f"dest/{node}/disk.qcow2", f"new-{node}")
        lines += [f"mkdir -p new-{node}",
                  " ".join([*argv, "-S", "-daemonize", "-pidfile", f"new-{node}/pid"])]
    (folder / "start").write_text("\n".join(lines) + "\n")
    (folder / "start").chmod(0o755)
    return folder / "start"


def load(emulator, folder, tag="init"):
    """Loads the set, starts the VMs and restores them."""
    return emulator.run(LOAD, "--to", "dest", "--loader", "qmp", "--tag", tag, "--no-gate",
                        "--set", f"snapshot.load=[{start_script(folder)}]",
                        "--set", "snapshot.qmp.sockets=[new-node1/qmp, new-node2/qmp]", POINTER)


def runs(pid):
    """Is it there, and not only waiting for somebody who asks how it ended?"""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def end_new(folder):
    """Ends the VMs that a load has started."""
    for file in folder.glob("new-*/pid"):
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda pid=pid: not runs(pid), what="the end of a machine")
        shutil.rmtree(file.parent)


def test_a_machine_runs_on(folder, start_emulator, snapshotted):
    counts, processes = snapshotted
    emulator = start_emulator(seed={"buckets": {"snapshots": {"objects": {}}}})
    emulator.env["GCE_METADATA_HOST"] = "127.0.0.1:9"  # none, wherever this runs
    argv = [SAVE, "--from", "images", "--tag", "init", "--tag", "ghost", "-o", "json", POINTER]
    result = emulator.run(*argv)  # the VMs are stopped, but have their disks open
    assert result.status == 1 and "'node1/disk.qcow2': a running program has locked it" in result.err
    for process in processes:
        process.terminate()
        process.wait()
    result = emulator.run(*argv)
    assert result.status == 0, result
    shutil.rmtree(folder / "images")
    try:
        result = load(emulator, folder)
        assert result.status == 0 and "2 VMs go on from snapshot 'init'" in result.err, result
        for node in NODES:
            run = folder / f"new-{node}"
            numbers = wait_for(lambda run=run: len(counted(run)) > 2 and counted(run),
                               what="the guest's counting")
            assert counts[node] < numbers[0] <= counts[node] + 2, (counts, numbers)
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        end_new(folder)
        result = load(emulator, folder, "ghost")
        assert result.status == 1 and "loadvm" in result.err and "ghost" in result.err, result
    finally:
        end_new(folder)
