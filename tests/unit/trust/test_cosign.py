"""Interop: cosign, Sigstore's own client, accepts our bundles. Collected where cosign 3 is installed."""

import shutil
import subprocess

import pytest

from skerry_core.bundle.manifest import PREDICATE_TYPE
from tests.unit.trust.documents import AUTHOR

COSIGN = shutil.which("cosign")

if COSIGN is not None:

    @pytest.mark.parametrize("author", [AUTHOR, "mallory@example.test"])
    def test_cosign_verifies_a_bundle(sigstore, manifest, signature, tmp_path, author):
        for name, content in (("manifest", manifest), ("bundle", signature), ("root", sigstore.trusted_root_json)):
            (tmp_path / name).write_bytes(content)
        command = [COSIGN, "verify-blob-attestation", "--bundle", tmp_path / "bundle", "--type", PREDICATE_TYPE]
        command += ["--trusted-root", tmp_path / "root", "--certificate-oidc-issuer", sigstore.issuer]
        command += ["--certificate-identity", author, tmp_path / "manifest"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (result.returncode == 0) == (author == AUTHOR), result.stderr
