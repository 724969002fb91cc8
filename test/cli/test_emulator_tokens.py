"""The emulator's other grants: refresh tokens, token exchange and impersonation, by calls written
from the services' own documentation."""
import json
import urllib.error
import urllib.parse
import urllib.request

from conftest import PATIENCE

ZONES = "/compute/v1/projects/neco-test/zones"
PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
PERSON = "someone@example.com"
ROBOT = "ci@neco-test.iam.gserviceaccount.com"


def post(url, form=None, body=None, token=None):
    """(status, value)"""
    data = urllib.parse.urlencode(form).encode() if form else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def status_with(emulator, token, path=ZONES):
    request = urllib.request.Request(emulator.url + path)
    request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_person_refreshes(start_emulator, tmp_path):
    file = tmp_path / "user.json"
    emulator = start_emulator(seed={"accounts": {
        PERSON: {"type": "authorized_user", "credentials": str(file)}}})
    assert file.stat().st_mode & 0o777 == 0o600
    user = json.loads(file.read_text())
    assert user["type"] == "authorized_user" and user["quota_project_id"] == "neco-test"
    form = {"grant_type": "refresh_token", "client_id": user["client_id"],
            "client_secret": user["client_secret"], "refresh_token": user["refresh_token"]}
    status, token = post(emulator.url + "/token", form)
    assert status == 200 and token["token_type"] == "Bearer"
    assert status_with(emulator, token["access_token"]) == 200
    wrong = {**form, "refresh_token": "1//other"}
    assert post(emulator.url + "/token", wrong) == \
        (400, {"error": "invalid_grant", "error_description": "Bad Request"})
    assert post(emulator.url + "/token", {**form, "client_secret": "x"})[1]["error"] == \
        "invalid_client"
    assert post(emulator.url + "/token", {**form, "grant_type": "x"})[1]["error"] == \
        "unsupported_grant_type"
    secrets = (user["refresh_token"], token["access_token"], user["client_secret"])
    assert not any(secret in emulator.log_file.read_text() for secret in secrets)


def test_a_job_exchanges_its_token_and_impersonates(start_emulator, tmp_path):
    file = tmp_path / "external.json"
    emulator = start_emulator(seed={"accounts": {
        ROBOT: {"type": "external_account", "credentials": str(file)}}})
    external = json.loads(file.read_text())
    with open(external["credential_source"]["file"], encoding="utf-8") as source:
        subject = source.read()
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": external["audience"], "scope": PLATFORM,
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token": subject, "subject_token_type": external["subject_token_type"]}
    status, federated = post(external["token_url"], form)
    assert status == 200
    assert federated["issued_token_type"] == form["requested_token_type"]
    url = external["service_account_impersonation_url"]
    wanted = {"delegates": [], "scope": [PLATFORM], "lifetime": "600s"}
    status, token = post(url, body=wanted, token=federated["access_token"])
    assert status == 200 and token["expireTime"].endswith("Z")
    assert status_with(emulator, token["accessToken"]) == 200
    status, error = post(url.replace("ci@", "other@"), body=wanted,
                         token=federated["access_token"])
    assert status == 404 and error["error"]["status"] == "NOT_FOUND"
    assert post(url, body={**wanted, "lifetime": "99999s"},
                token=federated["access_token"])[0] == 400
    status, error = post(external["token_url"], {**form, "audience": "//iam.googleapis.com/x"})
    assert (status, error["error"]) == (400, "invalid_grant")
    status, error = post(external["token_url"], {**form, "subject_token": subject[:-8] + "AAAAAAAA"})
    assert (status, error["error"]) == (400, "invalid_grant")
    assert subject not in emulator.log_file.read_text()
