"""Wrong input: one clear line that names the thing, the reason and the way out, and the status."""
import contextlib
import http.server
import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest

from conftest import BIN, ROOT, finish, run_program, start_program

TOOLS = sorted(path.name for path in BIN.iterdir()) if BIN.is_dir() else []
CONFIGURED = [tool for tool in TOOLS if tool != "necoops-emulator"]


def error_of(result):
    """The one error line of a run that printed nothing else."""
    lines = result.err.splitlines()
    assert len(lines) == 1 and result.out == "", result
    found = re.fullmatch(r"necoops-[a-z-]+: error: (.*)", lines[0])
    assert found, result
    return found[1]


def refused(folder, *argv, status=2, env=None):
    """The error of a run that ended with this status."""
    result = run_program(*argv, cwd=folder, env=env)
    assert result.status == status, result
    return error_of(result)


def with_config(folder, text):
    """A folder whose configuration is this text."""
    (folder / "necoops.yaml").write_text(text)
    return folder


# ---- every tool ----

def test_tools_are_built():
    assert {"necoops-create", "necoops-delete", "necoops-emulator"} <= set(TOOLS)


@pytest.mark.parametrize("tool", TOOLS)
def test_help_and_version(tool, tmp_path):
    shown = run_program(tool, "--help", cwd=tmp_path)
    assert shown.status == 0 and shown.err == "", shown
    assert shown.out.startswith(f"usage: {tool} "), shown
    assert "--version" in shown.out
    assert run_program(tool, "-h", cwd=tmp_path).out == shown.out
    version = run_program(tool, "--version", cwd=tmp_path)
    assert version.status == 0 and version.err == "", version
    assert re.fullmatch(rf"{tool} \d+\.\d+\.\d+\n", version.out), version


def manual_options(page):
    """The long options that a manual page describes."""
    text = (ROOT / "man" / page).read_text()
    return {word[1:] for word in re.findall(r"(?:Fl|,) (-[a-z][a-z-]*)", text)}


def help_options(tool, folder):
    """The long options that --help shows: its own, and those of every tool."""
    own, _, common = run_program(tool, "--help", cwd=folder).out.partition("\nCommon")
    pattern = re.compile(r"^  (?:-\w, |    )--([a-z-]+)", re.M)
    return set(pattern.findall(own)), set(pattern.findall(common))


@pytest.mark.parametrize("tool", TOOLS)
def test_manual_page_has_every_option(tool, tmp_path):
    own, common = help_options(tool, tmp_path)
    assert own and common, "the form of --help has changed"
    page = manual_options(f"{tool}.1")
    assert own <= page, f"{tool}(1) lacks {sorted(own - page)}"
    shared = page | manual_options("necoops.7")
    assert common <= shared, f"necoops(7) lacks {sorted(common - shared)}"


@pytest.mark.parametrize("tool", TOOLS)
def test_unknown_option(tool, folder):
    text = refused(folder, tool, "--hlep")
    assert text == f"unknown option '--hlep'; did you mean '--help'?; see {tool} --help"
    assert refused(folder, tool, "-Z") == f"unknown option '-Z'; see {tool} --help"
    assert refused(folder, tool, "--no-such-thing-at-all") == (
        f"unknown option '--no-such-thing-at-all'; see {tool} --help")


@pytest.mark.parametrize("argv, text", [
    (["--timeout"], "option '--timeout' needs a value"),
    (["--timeout", "soon"], "option '--timeout': "),
    (["--timeout", "5"], "option '--timeout': "),
    (["--timeout", "0s"], "option '--timeout': '0s' is too short: it wants at least 1ms"),
    (["--timeout", "99999999d"], "option '--timeout': '99999999d' is too long; at most 36500d are "),
    (["--output", "xml"], "option '--output': 'xml' is none of text, json"),
    (["--dry-run=yes"], "option '--dry-run' takes no value"),
    (["somewhere"], "unexpected argument 'somewhere'"),
])
@pytest.mark.parametrize("tool", ["necoops-create", "necoops-delete"])
def test_wrong_option(tool, argv, text, folder):
    assert refused(folder, tool, *argv).startswith(text)


def test_wrong_choice(folder):
    assert refused(folder, "necoops-create", "--recreate", "sometimes") == (
        "option '--recreate': 'sometimes' is none of failed, changed, always, never; "
        "see necoops-create --help")


# ---- the file ----

@pytest.mark.parametrize("tool", CONFIGURED)
def test_config_missing(tool, folder):
    text = refused(folder, tool, "--config", "elsewhere.yaml", "--print-config")
    assert text == "there is no file 'elsewhere.yaml', which --config names"


def test_config_missing_named_by_environment(folder):
    text = refused(folder, "necoops-create", env={"NECOOPS_CONFIG": "/nonexistent/n.yaml"})
    assert text == "there is no file '/nonexistent/n.yaml', which NECOOPS_CONFIG names"


def test_config_unreadable(folder):
    (folder / "folder.yaml").mkdir()
    text = refused(folder, "necoops-create", "--config", "folder.yaml")
    assert "folder.yaml" in text and "directory" in text.lower()
    if os.geteuid() != 0:  # root reads everything
        (folder / "secret.yaml").write_text("project: p\n")
        (folder / "secret.yaml").chmod(0)
        text = refused(folder, "necoops-create", "--config", "secret.yaml")
        assert "secret.yaml" in text and "Permission denied" in text


@pytest.mark.parametrize("text, error", [
    ("project: p\nzoness: [a]\n", "necoops.yaml:2:1: unknown key 'zoness'; did you mean 'zones'?"),
    ("instance:\n  machineType: n1\n",
     "necoops.yaml:2:3: unknown key 'instance.machineType'; did you mean 'instance.machineTypes'?"),
    ("instance: {image: {famly: x}}\n",
     "unknown key 'instance.image.famly'; did you mean 'instance.image.family'?"),
    ("clusters:\n  stage: {pat: x}\n",
     "unknown key 'clusters.stage.pat'; did you mean 'clusters.stage.path'?"),
    ("xyzzy: 1\n", "necoops.yaml:1:1: unknown key 'xyzzy'; necoops.yaml(5) lists the keys"),
    ("zones: asia-northeast1-c\n", "necoops.yaml:1:1: 'zones': wants a list of texts"),
    ("project: 17\n",
     "necoops.yaml:1:1: 'project': wants a text, and 17 is none: put it in quotes"),
    ("instance: {localSsds: many}\n", "'instance.localSsds': wants a whole number"),
    ("instance: {localSsds: 33}\n", "'instance.localSsds': wants a number from 0 to 32"),
    ("instance: {nestedVirtualization: 1}\n",
     "'instance.nestedVirtualization': wants true or false"),
    ("instance: {setupTimeout: 30}\n",
     "'instance.setupTimeout': wants a duration with its unit, such as 90s or 1h30m"),
    ("instance: {setupTimeout: 0s}\n",
     "'instance.setupTimeout': '0s' is too short: it wants at least 1.0s"),
    ("instance: {provisioningModel: CHEAP}\n",
     "'instance.provisioningModel': wants one of: STANDARD, SPOT"),
    ("schedule: {up: \"7:30\"}\n", "'schedule.up': wants a time of day such as \"07:30\""),
    ("instance: n1\n", "'instance' wants keys below it"),
    ("- a\n", "necoops.yaml: one mapping of keys is expected"),
    ("project: ${NO_SUCH_VARIABLE}\n",
     "'project': environment variable NO_SUCH_VARIABLE is not set"),
])
def test_config_wrong(text, error, folder):
    assert error in refused(with_config(folder, text), "necoops-create")


@pytest.mark.parametrize("text, line", [
    ("project: p\nzones: [a\n", 3),
    ("project: p\n\tzones: [a]\n", 2),
    ("project: 'p\n", 2),
    ("project: p\nproject: q\n", 2),
    ("project: &a [*b]\n", 1),
])
def test_config_yaml_error(text, line, folder):
    error = refused(with_config(folder, text), "necoops-create")
    assert re.search(rf"necoops\.yaml:{line}:\d+: \S", error), error


def test_config_binary(folder):
    (folder / "necoops.yaml").write_bytes(b"\x7fELF\0\0\xff\xfe")
    assert "necoops.yaml" in refused(folder, "necoops-create")


@pytest.mark.parametrize("given, error", [
    ("project", "--set wants KEY=VALUE, not 'project'"),
    ("zone=a", "--set: unknown key 'zone'; did you mean 'zones'?"),
    ("instance.image={family: x}", "--set: 'instance.image' only holds keys; set them one by one"),
    ("clusters.stage={path: x}", "--set: 'clusters.stage' only holds keys; set them one by one"),
    ("instance.localSsds=x", "--set: 'instance.localSsds': wants a whole number"),
    ("instance.setupTimeout=soon", "--set: 'instance.setupTimeout': "),
])
def test_set_wrong(given, error, folder):
    assert refused(folder, "necoops-create", "--set", given).startswith(error)


def test_set_a_mapping(folder):
    """As a whole: what the file or an earlier --set has is gone."""
    shown = run_program("necoops-create", "--set", "instance.labels={team: neco}", "--set",
                        "instance.labels={tier: test}", "--print-config", cwd=folder)
    assert shown.status == 0 and '  labels: {"tier":"test"}  # --set\n' in shown.out, shown


def test_environment_wrong(folder):
    text = refused(folder, "necoops-create", env={"NECOOPS_INSTANCE_LOCALSSDS": "x"})
    assert "NECOOPS_INSTANCE_LOCALSSDS" in text and "wants a whole number" in text


@pytest.mark.parametrize("tool, key", [("necoops-create", "project"), ("necoops-create", "zones"),
                                       ("necoops-delete", "zones")])
def test_key_that_is_needed(tool, key, folder):
    with_config(folder, "".join(line for line in (folder / "necoops.yaml").read_text().splitlines(1)
                                if not line.startswith(key)))
    text = refused(folder, tool, *(["--yes"] if tool == "necoops-delete" else []))
    assert f"'{key}' is not set; add it there or give --set {key}=VALUE" in text
    assert "necoops.yaml" in text


def test_no_config_at_all(tmp_path):
    assert refused(tmp_path, "necoops-create") == (
        "'project' is not set and no necoops.yaml was found here or above; write one, name it with "
        "--config, or give --set project=VALUE")


# What the cloud would refuse only after it was asked.
@pytest.mark.parametrize("sets, error", [
    (["instance.machineTypes=e2-standard-8"],
     "instance.machineTypes: 'e2-standard-8' cannot have VMs inside: E2 machines have no nested"),
    (["instance.machineTypes=n2d-standard-8"], "AMD machines have no nested virtualization"),
    (["instance.localSsds=9"], "does not take 9 local SSDs; it takes one of: 1 2 3 4 5 6 7 8 16 24"),
    (["instance.name=Neco_Ops"], "instance.name: 'Neco_Ops' is no name"),
    (["instance.labels={Team: a}"], "instance.labels: 'Team: a' is no label"),
    (["instance.setup=nowhere.sh"], "instance.setup: cannot open 'nowhere.sh': No such file or directory"),
    (["instance.setup=necoops.yaml"], "instance.setup: 'necoops.yaml' does not begin with '#!'"),
    (["instance.programs.archive=http://x/y"], "'http://x/y' is no gs:// object"),
    (["instance.programs.archive=gs://x/y"], "instance.programs.sha256: wants the archive's SHA-256"),
    (["schedule.timeZone=Asia/Tokio"], "Asia/Tokio"),
    (["schedule.days=mon,tuesday"], "tuesday"),
    (["schedule.holidays=23.11.2026"], "23.11.2026"),
])
def test_specification_wrong(sets, error, folder):
    argv = [word for text in sets for word in ("--set", text)]
    assert error in refused(folder, "necoops-create", *argv)


def test_metadata_too_large(folder):
    (folder / "setup.sh").write_text("#!/bin/sh\n" + "#" * 262144)
    text = refused(folder, "necoops-create", "--set", "instance.setup=setup.sh")
    assert "instance.setup" in text and "262144" in text


# ---- --print-config ----

def test_print_config(folder):
    (folder / "below").mkdir()
    with_config(folder, "project: neco-test\nzones: [a, b]\ninstance:\n  name: ${WHO}-ops\n"
                        "  setupTimeout: 20m\nclusters:\n  stage: {path: x, enabled: false}\n")
    env = {"WHO": "neco", "NECOOPS_INSTANCE_NETWORK": "vpc"}
    result = run_program("necoops-create", "--print-config", "--set", "instance.localSsds=2",
                         cwd=folder / "below", env=env)
    assert result.status == 0 and result.err == "", result
    file = folder / "necoops.yaml"
    for line in [f'project: "neco-test"  # {file}:1:1', f'zones: ["a","b"]  # {file}:2:1',
                 f'  name: "neco-ops"  # {file}:4:3', f'  setupTimeout: "20m"  # {file}:5:3',
                 "  localSsds: 2  # --set",
                 '  network: "vpc"  # environment variable NECOOPS_INSTANCE_NETWORK',
                 '    type: "pd-ssd"  # default', f'    path: "x"  # {file}:7:11']:
        assert line in result.out.splitlines(), (line, result)


def test_print_config_json(folder):
    result = run_program("necoops-delete", "--print-config", "-o", "json", cwd=folder)
    assert result.status == 0 and result.err == "", result
    assert result.json["project"]["value"] == "neco-test"
    assert result.json["project"]["origin"].endswith("necoops.yaml:1:1")
    assert result.json["instance.name"] == {"value": "neco-ops", "origin": "default"}
    assert result.json["instance.nestedVirtualization"]["value"] is True


def test_print_config_can_be_read_again(folder):
    first = run_program("necoops-create", "--print-config", cwd=folder)
    (folder / "again.yaml").write_text(first.out)
    again = run_program("necoops-create", "--print-config", "-c", "again.yaml", cwd=folder)
    assert [line.partition("  # ")[0] for line in again.out.splitlines()] == [
        line.partition("  # ")[0] for line in first.out.splitlines()]


def test_output_that_cannot_be_written(folder):
    with open("/dev/full", "w", encoding="ascii") as full:
        process = start_program(["necoops-create", "--print-config"], folder, {}, stdout=full)
        result = finish(process)
    assert result.status == 1, result
    assert "No space left on device" in result.err, result


# ---- endpoints ----

@contextlib.contextmanager
def refusing_port():
    """A port where nothing listens, and where nothing can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextlib.contextmanager
def silent_port():
    """A port that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield server.getsockname()[1]


class Page(http.server.BaseHTTPRequestHandler):
    """Whatever is asked: the login page of a proxy."""

    def answer(self):
        """One page, with the server's status."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"<!DOCTYPE html><html><title>Sign in to the guest network</title></html>"
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """Says nothing."""


@contextlib.contextmanager
def html_port(status):
    """A port that answers every request with a page."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.status = status
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


WORK = {"necoops-create": ["necoops-create"], "necoops-delete": ["necoops-delete", "--yes"]}


def start_moved(tool, folder, port, *options):
    """Starts a tool whose Compute Engine is at this port."""
    return start_program([*WORK[tool], *options], folder, {
        "GOOGLE_OAUTH_ACCESS_TOKEN": "secret-token-of-the-test",
        "NECOOPS_COMPUTE_ENDPOINT": f"http://127.0.0.1:{port}/compute/v1"})


def check_endpoint(result, port, status):
    """It names the endpoint, the way out, and no secret."""
    assert result.status == status, result
    text = error_of(result)
    assert f"127.0.0.1:{port}" in text and "NECOOPS_COMPUTE_ENDPOINT" in text, result
    assert "secret-token" not in result.err
    return text


def test_endpoint_that_refuses(folder):
    with refusing_port() as port:
        metadata = start_program(["necoops-create"], folder,
                                 {"GCE_METADATA_HOST": f"127.0.0.1:{port}"})
        started = [start_moved(tool, folder, port) for tool in WORK]
        for process in started:
            text = check_endpoint(finish(process), port, 1)
            assert "connection refused" in text, text
        check_metadata_server(finish(metadata), port)


def check_metadata_server(result, port):
    """It is this one that is named, not what it gives tokens for."""
    assert result.status == 1, result
    text = error_of(result)
    assert f"127.0.0.1:{port}" in text and "GCE_METADATA_HOST" in text, text
    assert "compute.googleapis.com" not in text, text


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("tool", list(WORK))
def test_endpoint_that_answers_html(tool, status, folder):
    with html_port(status) as port:
        text = check_endpoint(finish(start_moved(tool, folder, port)), port, 1)
        assert "HTML" in text and "Sign in to the guest network" in text, text


def test_endpoint_that_never_answers(folder):
    with silent_port() as port:
        started = [start_moved(tool, folder, port, "--timeout", "1s") for tool in WORK]
        for process in started:
            result = finish(process)
            assert result.status == 6, result
            assert "timed out" in error_of(result), result


def test_endpoint_that_is_no_url(folder):
    text = refused(folder, "necoops-create", env={
        "GOOGLE_OAUTH_ACCESS_TOKEN": "t", "NECOOPS_COMPUTE_ENDPOINT": "ftp://somewhere"})
    assert "ftp://somewhere" in text and "NECOOPS_COMPUTE_ENDPOINT" in text


# ---- credentials ----

def on_compute_engine():
    """There, the metadata server has credentials."""
    product = pathlib.Path("/sys/class/dmi/id/product_name")
    return product.exists() and product.read_text().startswith("Google")


@pytest.mark.skipif(on_compute_engine(), reason="this machine has credentials of its own")
@pytest.mark.parametrize("tool", list(WORK))
def test_no_credentials(tool, folder):
    text = refused(folder, *WORK[tool], status=4)
    assert text.startswith("no credentials: GOOGLE_OAUTH_ACCESS_TOKEN")
    assert "or name the key file of a service account in GOOGLE_APPLICATION_CREDENTIALS" in text


@pytest.mark.parametrize("content, error", [
    (None, "cannot open 'key.json': No such file or directory (named by GOOGLE_APPLICATION_C"),
    ("{", "the credential in 'key.json' is not valid JSON"),
    ("{}", "the JSON in 'key.json' is no credential: it has no 'type'"),
    ('{"type": "service_account"}', "the credential in 'key.json' lacks 'client_email'"),
    ('{"type": "gdch_service_account"}', "'key.json' is of type 'gdch_service_account'"),
])
def test_bad_credentials(content, error, folder):
    if content is not None:
        (folder / "key.json").write_text(content)
    text = refused(folder, "necoops-create", status=4,
                   env={"GOOGLE_APPLICATION_CREDENTIALS": "key.json"})
    assert error in text, text


# ---- the manual ----

def test_manual_pages_are_clean():
    pages = sorted((ROOT / "man").glob("*.[157]"))
    assert {f"{tool}.1" for tool in TOOLS} <= {page.name for page in pages}
    subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages], check=True)
