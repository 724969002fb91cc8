"""Credentials while the programs work: renewed, read again, and refused with a way out."""
import json
import shutil
import urllib.parse
import urllib.request

import pytest

from conftest import Emulator, PATIENCE, QUICK, fetch_token, wait_for
from test_create import STEERED

ROBOT = "ci@neco-test.iam.gserviceaccount.com"
FAKETIME = shutil.which("faketime")


@pytest.fixture
def federated(start_emulator, folder):
    """An emulator, and a job that trades its OIDC token for access tokens of two seconds."""
    file = folder / "external.json"
    (folder / "setup.sh").write_text(STEERED)
    with open(folder / "necoops.yaml", "a", encoding="utf-8") as config:
        config.write("  setup: setup.sh\n")
    emulator = start_emulator("--run-startup-scripts", timings=QUICK, seed={"accounts": {
        ROBOT: {"type": "external_account", "credentials": str(file)}}})
    external = json.loads(file.read_text())
    external["service_account_impersonation"] = {"token_lifetime_seconds": 2}
    file.write_text(json.dumps(external))
    emulator.env["GOOGLE_APPLICATION_CREDENTIALS"] = str(file)
    emulator.oidc = external["credential_source"]["file"]
    return emulator


def exchanges(emulator):
    """The exchanges of the job's token, and how each was answered."""
    return [e["status"] for e in emulator.calls("POST", "/v1/token")]


def followed(emulator):
    """A creation whose setup goes on until it is told."""
    run = emulator.start("necoops-create")
    run.wait_for("setup: running the setup script")
    return run


def test_tokens_are_renewed_in_the_middle_of_work(federated):
    run = followed(federated)
    begun = len(exchanges(federated))
    wait_for(lambda: len(exchanges(federated)) >= begun + 3, what="three more exchanges")
    federated.set_metadata(federated.instances()[0], go="on")
    result = run.end()
    assert result.status == 0, result
    assert set(exchanges(federated)) == {200}
    made = federated.calls("POST", ":generateAccessToken")
    assert len(made) == len(exchanges(federated))
    assert {e["body"]["lifetime"] for e in made} == {"2s"}


def test_the_jobs_token_is_read_again_for_each_exchange(federated, folder):
    run = followed(federated)
    (folder / "ended").write_text("what.ended.meanwhile")
    (folder / "ended").replace(federated.oidc)
    result = run.end()
    assert result.status == 4, result
    last = result.err.splitlines()[-1]
    assert "the federated credential '" in last and f"' of {ROBOT} is refused (invalid_grant: " in last
    assert last.endswith("): its subject token may have expired, or is not meant for this provider")
    assert exchanges(federated)[-1] == 400 and "what.ended.meanwhile" not in result.err
    assert [i["status"] for i in federated.instances()] == ["RUNNING"], "the next run joins it"


def test_a_jobs_token_that_is_gone(federated):
    with open(federated.oidc, "w", encoding="utf-8"):
        pass
    result = federated.run("necoops-status")
    assert result.status == 4, result
    assert f"no subject token in '{federated.oidc}': it is empty" in result.err
    assert exchanges(federated) == []


@pytest.mark.skipif(not FAKETIME, reason="no faketime")
@pytest.mark.parametrize("offset, words", [("-2h", r"2h00m slow"), ("+2h", r"2h00m fast")])
def test_a_skewed_clock_is_told(offset, words, start_emulator):
    emulator = start_emulator()
    result = emulator.run(FAKETIME, "-f", offset, "necoops-create",
                          env={"FAKETIME_DONT_FAKE_MONOTONIC": "1",
                               "ASAN_OPTIONS": "verify_asan_link_order=0"})
    assert result.status == 4, result
    last = result.err.splitlines()[-1]
    assert "is refused (invalid_grant: " in last, result
    near = (words, words.replace("2h00m", "1h59m"), words.replace("2h00m", "2h01m"))
    assert last.endswith(tuple(f": the clock of this machine is {text}; set it" for text in near)), last
    assert emulator.instances() == []


def narrow_token(emulator):
    """A token that may only read objects."""
    token = fetch_token(emulator)
    request = urllib.request.Request(
        f"{emulator.url}/v1/projects/-/serviceAccounts/"
        + urllib.parse.quote("neco-ops@neco-test.iam.gserviceaccount.com") + ":generateAccessToken",
        data=json.dumps({"scope": ["https://www.googleapis.com/auth/devstorage.read_only"]}).encode(),
        headers={"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read())["accessToken"]


@pytest.mark.parametrize("tool", [["necoops-create"], ["necoops-delete", "--yes"], ["necoops-status"]])
def test_a_scope_that_is_too_narrow(tool, start_emulator):
    emulator = start_emulator()
    token = narrow_token(emulator)
    result = emulator.run(*tool, env={"GOOGLE_OAUTH_ACCESS_TOKEN": token})
    assert result.status == 4, result
    assert ("the token in GOOGLE_OAUTH_ACCESS_TOKEN has too narrow a scope: Request had insufficient "
            "authentication scopes.") in result.err, result
    assert "grant a role" not in result.err and token not in result.err + result.out
    assert "fetch a token with the scope https://www.googleapis.com/auth/cloud-platform" in result.err


def test_a_key_that_was_replaced(start_emulator, folder):
    """The account is there, and another key is what it has now."""
    emulator = start_emulator()
    (folder / "before").mkdir()
    before = Emulator(folder / "before")
    before.stop()
    key = json.loads(emulator.credentials.read_text())
    old = json.loads(before.credentials.read_text())
    assert key["private_key"] != old["private_key"]
    old["token_uri"] = key["token_uri"]
    (folder / "old.json").write_text(json.dumps(old))
    (folder / "old.json").chmod(0o600)
    result = emulator.run("necoops-status",
                          env={"GOOGLE_APPLICATION_CREDENTIALS": str(folder / "old.json")})
    assert result.status == 4, result
    assert (f"the service account key '{folder}/old.json' of {old['client_email']} is refused "
            "(invalid_grant: Invalid JWT Signature.): the key may have been deleted or replaced; make "
            "a new one") in result.err, result


def test_a_key_that_everybody_can_read(start_emulator):
    emulator = start_emulator()
    emulator.credentials.chmod(0o644)
    result = emulator.run("necoops-create", "--dry-run")
    assert result.status == 0, result
    assert (f"warning: the credential in '{emulator.credentials}' can be read by everyone on this "
            "machine: chmod 600 it") in result.err
