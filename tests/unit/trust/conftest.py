import pytest

from skerry_core.bundle.signing import sign_manifest
from skerry_core.trust.keys import KeyPair, generate_key_pair
from skerry_core.trust.verifier import ReleaseVerifier
from tests.sigstore_instance import PrivateSigstore
from tests.sigstore_instance.fixtures import sigstore
from tests.unit.trust.documents import AUTHOR, MODEL, VERSION, manifest_bytes

__all__ = ["sigstore"]


@pytest.fixture(scope="session")
def manifest() -> bytes:
    return manifest_bytes()


@pytest.fixture(scope="session")
def signature(sigstore: PrivateSigstore, manifest: bytes) -> bytes:
    return sign_manifest(
        manifest,
        model=MODEL,
        version=VERSION,
        identity_token=sigstore.token(AUTHOR),
        trust_config=sigstore.trust_config_json,
    )


@pytest.fixture(scope="session")
def verifier(sigstore: PrivateSigstore) -> ReleaseVerifier:
    return ReleaseVerifier(sigstore.trusted_root_json)


@pytest.fixture(scope="session")
def keys() -> KeyPair:
    return generate_key_pair()


@pytest.fixture(scope="session")
def stranger() -> KeyPair:
    return generate_key_pair()
