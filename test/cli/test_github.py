"""The commit's status on GitHub, against a sink that answers as the REST API does."""
import pytest

from telling import Sink, World

CREATED = (201, '{"id": 1, "state": "pending", "context": "necoops/dev"}')
TOKEN = "ghp_0123456789secret"
ENV = {"STATUS_TOKEN": TOKEN, "CIRCLE_BUILD_URL": "https://circleci.com/gh/neco-test/apps/42"}


@pytest.fixture
def github():
    """Makes sinks, ended after the test."""
    sinks = []

    def make(*answers):
        sinks.append(Sink(answers or (CREATED,)))
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()


@pytest.fixture
def world(start_emulator, folder):
    """Makes a world that tells this sink."""
    def make(sink, **notify):
        return World(start_emulator, folder, {
            "github": {"tokenEnv": "STATUS_TOKEN", "url": sink.url + "/api/v3"}, **notify})
    return make


def test_pending_then_success(github, world):
    """The exact requests."""
    sink = github()
    one = world(sink)
    commit = one.apps.git("rev-parse", "HEAD")
    done = one.deploy("-vv", env=ENV)
    assert done.status == 0, done
    assert TOKEN not in done.err
    first, last = sink.seen()
    for request in (first, last):
        headers = {k.lower(): v for k, v in request["headers"].items()}
        assert request["path"] == f"/api/v3/repos/neco-test/apps/statuses/{commit}"
        assert headers["authorization"] == "Bearer " + TOKEN
        assert headers["accept"] == "application/vnd.github+json"
        assert headers["x-github-api-version"] == "2022-11-28"
        assert headers["user-agent"].startswith("necoops/")
    assert first["json"] == {"state": "pending", "context": "necoops/dev",
                             "description": "the deploy is under way",
                             "target_url": ENV["CIRCLE_BUILD_URL"]}
    assert last["json"] == {"state": "success", "context": "necoops/dev",
                            "description": "all applications are live",
                            "target_url": ENV["CIRCLE_BUILD_URL"]}


def test_failure_says_why_within_140_characters(github, world):
    """GitHub refuses longer ones."""
    sink = github()
    one = world(sink)
    one.apps.break_ops()
    assert one.deploy(env=ENV).status == 1
    last = sink.seen()[-1]["json"]
    assert last["state"] == "failure"
    assert last["description"].startswith("application 'ops': Degraded: Deployment ops/sweeper")
    assert len(last["description"].encode()) <= 140


def test_error_when_the_commit_is_not_to_blame(github, world):
    """A cluster that does not answer."""
    sink = github()
    one = world(sink)
    one.kubeconfig.write_text(one.kubeconfig.read_text().replace("127.0.0.1", "127.0.0.2"))
    done = one.deploy(env=ENV)
    assert done.status != 0 and "does not answer" in done.err, done
    assert [r["json"]["state"] for r in sink.seen()] == ["pending", "error"]


def test_actions_give_the_link_of_their_run(github, world):
    """GITHUB_SERVER_URL and its kin."""
    sink = github()
    env = {"STATUS_TOKEN": TOKEN, "GITHUB_SERVER_URL": "https://github.com",
           "GITHUB_REPOSITORY": "neco-test/apps", "GITHUB_RUN_ID": "77"}
    assert world(sink).deploy(env=env).status == 0
    assert {r["json"]["target_url"] for r in sink.seen()} == {
        "https://github.com/neco-test/apps/actions/runs/77"}


def test_without_a_token_nothing_is_asked(github, world):
    """The variable is not set."""
    sink = github()
    done = world(sink).deploy()
    assert done.status == 0 and sink.seen() == [] and "GitHub" not in done.err


@pytest.mark.parametrize("answer, words", [
    ((401, '{"message": "Bad credentials"}'),
     "GitHub refuses the token in 'STATUS_TOKEN' (401)"),
    ((403, '{"message": "Resource not accessible by integration"}'),
     "the token in 'STATUS_TOKEN' needs write access to its commit statuses"),
    ((404, '{"message": "Not Found"}'), "GitHub refuses the commit's status in 'neco-test/apps'"),
    ((422, '{"message": "No commit found for SHA"}'), "No commit found for SHA"),
])
def test_a_refusal_is_a_warning(answer, words, github, world):
    """Never a failed deploy."""
    done = world(github(answer)).deploy(env=ENV)
    assert done.status == 0, done
    assert "warning: " in done.err and words in done.err
    assert TOKEN not in done.err


def test_a_token_never_travels_in_the_clear(start_emulator, folder):
    """Plain HTTP to another machine is refused before anything is sent."""
    one = World(start_emulator, folder, {
        "github": {"tokenEnv": "STATUS_TOKEN", "url": "http://192.0.2.1/api/v3"}})
    done = one.deploy(env=ENV)
    assert done.status == 0, done
    assert "over TLS; set notify.github.url" in done.err


def test_a_deploy_that_was_interrupted_ends_its_status(github, world):
    """SIGTERM: the status does not stay pending."""
    sink = github()
    one = world(sink)
    one.apps.write("ops/deployment.yaml",
                   (one.apps.clone / "ops/deployment.yaml").read_text().replace(
                       "sweeper:1.4.2", "sweeper:does-not-exist"))
    one.apps.push("Never ready")
    run = one.emulator.start("necoops-deploy", "-c", one.conf, "--cluster", "dev",
                             cwd=one.apps.clone, env=ENV)
    run.wait_for("reading the applications")
    run.signal(15)
    done = run.end()
    assert done.status == 143, done
    assert [r["json"]["state"] for r in sink.seen()] == ["pending", "error"]
