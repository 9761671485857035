import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from skerry_api.v1alpha1.trustpolicy import TrustPolicy
from skerry_core.trust.keys import load_private_key, load_public_key
from skerry_core.trust.policy_envelope import open_policy
from skerry_operator.cli.trust import read_policy

POLICY = """
serial: 3
bindings:
  - namespace: plants
    models: ["har*"]
    identities:
      - {subject: author@example.com, issuer: "https://issuer.example.com"}
minimumVersions:
  - {namespace: plants, model: har, version: 1.0.0}
"""


@pytest.fixture
def key_folder(run, tmp_path):
    folder = tmp_path / "keys"
    assert run("keys", "new", "policy", "--out", folder).exit_code == 0
    return folder


@pytest.fixture
def policy_file(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


@pytest.mark.parametrize("kind", ["hub", "policy"])
def test_new_keys_are_a_pair_and_the_private_one_is_private(run, tmp_path, kind):
    answer = run("keys", "new", kind, "--out", tmp_path / "new" / "folder")
    assert answer.exit_code == 0, answer.stderr
    private, public = tmp_path / "new" / "folder" / f"{kind}.key", tmp_path / "new" / "folder" / f"{kind}.pub"
    assert answer.stdout.split() == [str(private), str(public)]
    assert private.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    pair = load_private_key(private.read_bytes()).public_key(), load_public_key(public.read_bytes())
    assert pair[0].public_numbers() == pair[1].public_numbers()


def test_keys_are_never_overwritten(run, key_folder):
    before = (key_folder / "policy.key").read_bytes()
    answer = run("keys", "new", "policy", "--out", key_folder)
    assert answer.exit_code == 2
    assert "never overwritten" in answer.stderr
    assert (key_folder / "policy.key").read_bytes() == before


def test_a_signed_policy_verifies_and_shows(run, key_folder, policy_file, tmp_path):
    answer = run("trust", "sign", policy_file, "--key", key_folder / "policy.key", "--name", "fleet")
    assert answer.exit_code == 0, answer.stderr
    wire = yaml.safe_load(answer.stdout)
    assert (wire["kind"], wire["metadata"]["name"]) == ("TrustPolicy", "fleet")
    envelope = TrustPolicy.model_validate(wire).spec.envelope
    document = open_policy(envelope, (key_folder / "policy.pub").read_bytes(), last_serial=None)
    assert document.serial == 3
    assert document.bindings[0].identities[0].subject == "author@example.com"
    assert document.issued_at.tzinfo is not None

    signed = tmp_path / "trustpolicy.yaml"
    signed.write_text(answer.stdout)
    shown = run("trust", "show", signed, "--key", key_folder / "policy.pub")
    assert yaml.safe_load(shown.stdout)["minimumVersions"][0]["version"] == "1.0.0"
    shown = run("trust", "show", signed, "--key", key_folder / "policy.pub", "--json")
    assert json.loads(shown.stdout)["serial"] == 3


def test_a_policy_of_another_key_is_not_shown(run, key_folder, policy_file, tmp_path):
    signed = tmp_path / "trustpolicy.yaml"
    signed.write_text(run("trust", "sign", policy_file, "--key", key_folder / "policy.key").stdout)
    run("keys", "new", "hub", "--out", tmp_path)
    answer = run("trust", "show", signed, "--key", tmp_path / "hub.pub")
    assert answer.exit_code == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (POLICY.replace("serial: 3", "serial: 0"), "serial: "),
        (POLICY.replace("minimumVersions", "minimumVersion"), "unknown fields: minimumVersion"),
        (POLICY.replace("subject:", "subject: a, nmae:"), "unknown fields: bindings.0.identities.0.nmae"),
        (POLICY.replace('models: ["har*"]', "models: []"), "bindings.0.models"),
        ("[1, 2]", "no YAML mapping"),
        ("a: [", "is no YAML"),
        ("", "no YAML mapping"),
    ],
)
def test_what_is_no_policy_is_not_signed(run, key_folder, policy_file, text, message):
    policy_file.write_text(text)
    answer = run("trust", "sign", policy_file, "--key", key_folder / "policy.key")
    assert answer.exit_code == 1
    assert answer.stdout == ""
    assert message in answer.stderr


def test_what_is_no_key_signs_nothing(run, key_folder, policy_file):
    answer = run("trust", "sign", policy_file, "--key", key_folder / "policy.pub")
    assert answer.exit_code == 1
    assert "private key" in answer.stderr


@pytest.mark.parametrize("text", ["spec: {}", "spec: {envelope: 1}", "{}"])
def test_what_is_no_trust_policy_is_not_shown(run, key_folder, tmp_path, text):
    (tmp_path / "tp.yaml").write_text(text)
    answer = run("trust", "show", tmp_path / "tp.yaml", "--key", key_folder / "policy.pub")
    assert answer.exit_code == 1
    assert "no spec.envelope" in answer.stderr


def test_the_example_policy_can_be_signed():
    text = (Path(__file__).parents[3] / "examples/trust/policy.yaml").read_text()
    assert read_policy(text, now=datetime.now(UTC)).serial == 1
