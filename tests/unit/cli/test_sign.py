"""Signing with the private Sigstore test instance: a real authority, log and proofs, over loopback."""

import pytest

from skerry_core.bundle.folder import read_bundle
from skerry_operator.cli import sign
from tests.sigstore_instance.fixtures import sigstore

__all__ = ["sigstore"]

AUTHOR = "author@example.com"


@pytest.fixture
def trust_config(sigstore, tmp_path):
    path = tmp_path / "trust.json"
    path.write_bytes(sigstore.trust_config_json)
    return path


def test_signs_as_whom_the_token_names(run, bundle, sigstore, trust_config):
    answer = run("sign", bundle, "--trust-config", trust_config, env={"SIGSTORE_ID_TOKEN": sigstore.token(AUTHOR)})
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.strip() == str(bundle / "manifest.sigstore.json")
    read = read_bundle(bundle)
    assert b"dsseEnvelope" in read.signature
    assert f"signed har@1.0.0, {read.digest}" in answer.stderr


def test_a_token_can_be_given_as_an_option(run, bundle, sigstore, trust_config):
    answer = run("sign", bundle, "--trust-config", trust_config, "--identity-token", sigstore.token(AUTHOR))
    assert answer.exit_code == 0, answer.stderr


def test_takes_the_ci_jobs_own_identity(run, bundle, sigstore, trust_config, monkeypatch):
    monkeypatch.setattr(sign, "detect_credential", lambda: sigstore.token(AUTHOR))
    assert run("sign", bundle, "--trust-config", trust_config).exit_code == 0


@pytest.mark.parametrize(
    ("ambient", "message"), [(None, "set SIGSTORE_ID_TOKEN"), (sign.IdentityError("broken"), "can't be had: broken")]
)
def test_without_an_identity_nothing_is_signed(run, bundle, monkeypatch, ambient, message):
    def detect():
        if ambient:
            raise ambient

    monkeypatch.setattr(sign, "detect_credential", detect)
    answer = run("sign", bundle)
    assert answer.exit_code == 1
    assert message in answer.stderr
    assert read_bundle(bundle).signature is None


def test_a_bad_token_is_one_clear_line(run, bundle, trust_config):
    answer = run("sign", bundle, "--trust-config", trust_config, "--identity-token", "nonsense")
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error: ")
    assert "OIDC token" in answer.stderr


def test_what_is_no_bundle_is_not_signed(run, tmp_path):
    answer = run("sign", tmp_path, "--identity-token", "token")
    assert answer.exit_code == 1
    assert "skerry package" in answer.stderr
