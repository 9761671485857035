import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from skerry_core.bundle.signing import sign_manifest
from skerry_core.errors import RetryError, SkerryError, UserMustActError, WaitError
from tests.sigstore_instance import PrivateSigstore
from tests.sigstore_instance.oidc import Issuer
from tests.unit.trust.documents import AUTHOR, MODEL, VERSION, manifest_bytes


def failure(token: str, trust_config: bytes) -> tuple[type[SkerryError], str]:
    with pytest.raises(SkerryError) as caught:
        sign_manifest(manifest_bytes(), model=MODEL, version=VERSION, identity_token=token, trust_config=trust_config)
    return type(caught.value), caught.value.reason


@pytest.fixture
def answering():
    """Starts a server that gives every POST the same answer, and returns its address."""
    servers = []

    def start(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def pointing(sigstore: PrivateSigstore, *, authority: str | None = None, log: str | None = None) -> bytes:
    """The instance's trust config with other addresses to sign at."""
    config = json.loads(sigstore.trust_config_json)
    for kind, url in (("caUrls", authority), ("rekorTlogUrls", log)):
        if url is not None:
            config["signingConfig"][kind][0]["url"] = url
    return json.dumps(config).encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"message":"no"}', (UserMustActError, "SigningRefused")),
        (403, b"<html>no</html>", (UserMustActError, "SigningRefused")),
        (429, b"", (RetryError, "SigstoreBusy")),
        (500, b"", (RetryError, "SigstoreBusy")),
        (503, b"<html>later</html>", (RetryError, "SigstoreBusy")),
        (200, b"<html>log in to the guest network</html>", (WaitError, "SigstoreUnreachable")),
        (200, b"{}", (WaitError, "SigstoreUnreachable")),
        (200, b"[]", (WaitError, "SigstoreUnreachable")),
    ],
)
@pytest.mark.parametrize("part", ["authority", "log"])
def test_answers_become_retry_policies(sigstore, answering, part, status, body, expected):
    config = pointing(sigstore, **{part: answering(status, body)})
    assert failure(sigstore.token(AUTHOR), config) == expected


def test_nobody_there(sigstore):
    with PrivateSigstore.start() as other:
        gone = other.base_url
    for config in (pointing(sigstore, authority=gone), pointing(sigstore, log=gone)):
        assert failure(sigstore.token(AUTHOR), config) == (WaitError, "SigstoreUnreachable")


def test_a_certificate_of_another_root_is_not_used(sigstore):
    with PrivateSigstore.start() as other:
        config = pointing(sigstore, authority=other.base_url)
        assert failure(other.token(AUTHOR), config) == (UserMustActError, "SigstoreNotTrusted")


@pytest.mark.parametrize("token", ["", "not a token", "a.b.c"])
def test_a_malformed_token_is_the_users_to_replace(sigstore, token):
    assert failure(token, sigstore.trust_config_json) == (UserMustActError, "IdentityTokenInvalid")


def test_an_expired_token_is_the_users_to_replace(sigstore):
    claims = {"iss": sigstore.issuer, "aud": "sigstore", "sub": AUTHOR, "iat": 1, "exp": 2}
    token = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")
    assert failure(token, sigstore.trust_config_json) == (UserMustActError, "IdentityTokenInvalid")


def test_a_token_of_another_issuer_is_refused_by_the_authority(sigstore):
    forged = Issuer(sigstore.issuer, ec.generate_private_key(ec.SECP256R1())).token(AUTHOR)
    assert failure(forged, sigstore.trust_config_json) == (UserMustActError, "SigningRefused")


@pytest.mark.parametrize("config", [b"", b"{}", b"\xff", b"[]"])
def test_a_malformed_trust_config_is_the_users_to_correct(sigstore, config):
    assert failure(sigstore.token(AUTHOR), config) == (UserMustActError, "TrustConfigInvalid")
