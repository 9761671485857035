import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from skerry_operator.cli import cluster
from skerry_operator.cli.enroll import new_token
from skerry_operator.kube.resources import EDGE_SITES, SECRETS
from tests.unit.cli.conftest import HUB_CA


def edge_site(name="site-a", *, accepted=True):
    return {"metadata": {"name": name}, "spec": {"hubAcceptsClient": accepted, "siteClassName": "small"}}


def test_creates_the_token_and_prints_the_charts_values(run, kube):
    kube.create(EDGE_SITES, edge_site())
    before = datetime.now(UTC)
    answer = run("enroll", "site-a", "--apply", "--expires", "30m")
    assert answer.exit_code == 0, answer.stderr
    (secret,) = kube.list(SECRETS, "kube-system").items
    data = secret["stringData"]
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert secret["metadata"]["name"] == f"bootstrap-token-{data['token-id']}"
    assert data["auth-extra-groups"] == "system:bootstrappers:skerry:site-a"
    assert data["usage-bootstrap-authentication"] == "true"
    expires = datetime.fromisoformat(data["expiration"])
    assert timedelta(minutes=29) < expires - before < timedelta(minutes=31)
    assert yaml.safe_load(answer.stdout) == {
        "site": {"name": "site-a"},
        "hub": {"url": "https://hub.example.com:6443", "ca": HUB_CA},
        "bootstrap": {"token": f"{data['token-id']}.{data['token-secret']}"},
    }
    assert "warning" not in answer.stderr


@pytest.mark.parametrize("site", [None, edge_site(accepted=False)])
def test_says_what_else_the_site_needs(run, kube, site):
    if site:
        kube.create(EDGE_SITES, site)
    answer = run("enroll", "site-a", "--apply")
    assert answer.exit_code == 0
    assert "hubAcceptsClient: true" in answer.stderr


def test_writes_files_without_asking_any_cluster(run, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "connect", lambda _: pytest.fail("asked a cluster"))
    (tmp_path / "ca.pem").write_text("the hub's CA")
    answer = run(
        *("enroll", "site-a", "--secret", tmp_path / "secret.yaml", "--values", tmp_path / "values.yaml"),
        *("--hub-url", "https://hub", "--hub-ca", tmp_path / "ca.pem"),
    )
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout == ""
    secret = yaml.safe_load((tmp_path / "secret.yaml").read_text())
    values = yaml.safe_load((tmp_path / "values.yaml").read_text())
    assert values["hub"] == {"url": "https://hub", "ca": "the hub's CA"}
    assert values["bootstrap"]["token"] == f"{secret['stringData']['token-id']}.{secret['stringData']['token-secret']}"
    for name in ("secret.yaml", "values.yaml"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert values["bootstrap"]["token"] not in answer.output


def test_tokens_are_as_kubernetes_wants_them_and_never_twice():
    tokens = {str(new_token()) for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token) for token in tokens)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("site-a",), "one of --apply and --secret"),
        (("site-a", "--apply", "--secret", "x"), "one of --apply and --secret"),
        (("Site_A", "--apply"), "can't be a site's name"),
        (("a" * 52, "--apply"), "at most 51"),
        (("site-a", "--apply", "--expires", "soon"), "is not a duration"),
        (("site-a", "--apply", "--expires", "1s"), "between 1m and 168h"),
        (("site-a", "--apply", "--expires", "1000h"), "between 1m and 168h"),
    ],
)
def test_usage_errors(run, kube, args, message):
    answer = run("enroll", *args)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert kube.list(SECRETS).items == ()
