import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.bundle.signing import sign_manifest
from skerry_core.trust.verifier import ReleaseVerifier
from tests.sigstore_instance import PrivateSigstore, merkle
from tests.unit.trust.documents import AUTHOR, MODEL, NAMESPACE, VERSION, manifest_bytes, policy


def sign(sigstore, version=VERSION):
    return sign_manifest(
        manifest_bytes(version=version),
        model=MODEL,
        version=version,
        identity_token=sigstore.token(AUTHOR),
        trust_config=sigstore.trust_config_json,
    )


def accepted(trusted_root, signature, issuer, version=VERSION):
    release = ReleaseVerifier(trusted_root).verify(
        manifest_bytes(version=version),
        signature,
        namespace=NAMESPACE,
        model=MODEL,
        version=version,
        policy=policy(issuer),
    )
    return release.manifest.version == version


def test_every_entry_of_a_growing_log_verifies():
    with PrivateSigstore.start() as sigstore:
        signatures = [sign(sigstore, version=f"1.{n}.0") for n in range(9)]
        assert len(sigstore.log) == 9
    for n, signature in enumerate(signatures):
        assert accepted(sigstore.trusted_root_json, signature, sigstore.issuer, version=f"1.{n}.0")
    entries = [json.loads(signature)["verificationMaterial"]["tlogEntries"][0] for signature in signatures]
    assert [entry["logIndex"] for entry in entries] == [str(n) for n in range(9)]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_inclusion_proofs_lead_to_the_root(contents, data):
    leaves = [merkle.leaf_hash(content) for content in contents]
    index = data.draw(st.integers(0, len(leaves) - 1))
    # RFC 9162, section 2.1.3.2
    node, last, result = index, len(leaves) - 1, leaves[index]
    for sibling in merkle.inclusion_proof(leaves, index):
        if node & 1 or node == last:
            result = merkle.hash_children(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = merkle.hash_children(result, sibling)
        node, last = node >> 1, last >> 1
    assert last == 0
    assert result == merkle.root_hash(leaves)


def test_a_restart_keeps_keys_log_and_issuer(tmp_path):
    with PrivateSigstore.start(tmp_path) as first:
        old = sign(first)
    with PrivateSigstore.start(tmp_path) as second:
        new = sign(second)
        assert len(second.log) == 2
    assert second.trusted_root_json == first.trusted_root_json == (tmp_path / "trusted_root.json").read_bytes()
    for signature in (old, new):
        assert accepted(first.trusted_root_json, signature, second.issuer)
    assert all(path.stat().st_mode & 0o77 == 0 for path in tmp_path.glob("*.key"))


def post(sigstore_url, path, document):
    request = urllib.request.Request(
        sigstore_url + path, json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_it_serves_from_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "tests.sigstore_instance", "--state", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        announced = process.stdout.readline()
        assert announced.startswith("private Sigstore test instance at http://127.0.0.1:")
        url = announced.split()[5].rstrip(",")
        signature = sign_manifest(
            manifest_bytes(),
            model=MODEL,
            version=VERSION,
            identity_token=post(url, "/oidc/token", {"subject": AUTHOR})["token"],
            trust_config=(tmp_path / "trust_config.json").read_bytes(),
        )
        os.kill(process.pid, signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
    issuer = announced.split()[-1]
    assert accepted((tmp_path / "trusted_root.json").read_bytes(), signature, issuer)


@pytest.mark.parametrize(
    ("path", "document", "status"),
    [
        ("/api/v1/log/entries", {}, 400),
        ("/api/v1/log/entries", {"spec": {"proposedContent": {"envelope": "{}", "verifiers": ["AA=="]}}}, 400),
        ("/api/v2/signingCert", {"certificateSigningRequest": base64.b64encode(b"x").decode()}, 401),
        ("/elsewhere", {}, 404),
    ],
)
def test_nonsense_is_refused(sigstore, path, document, status):
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(sigstore.base_url, path, document)
    with caught.value as answer:
        assert answer.code == status


def test_the_log_refuses_an_envelope_that_its_certificate_did_not_sign(sigstore, signature):
    bundle = json.loads(signature)
    certificate = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(certificate) + b"-----END CERTIFICATE-----\n"
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(b"{}").decode()
    content = {"envelope": json.dumps(bundle["dsseEnvelope"]), "verifiers": [base64.b64encode(pem).decode()]}
    size = len(sigstore.log)
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(sigstore.base_url, "/api/v1/log/entries", {"spec": {"proposedContent": content}})
    with caught.value as answer:
        assert "not by the key" in answer.read().decode()
    assert len(sigstore.log) == size
