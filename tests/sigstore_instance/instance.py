"""The private Sigstore test instance, assembled: keys, log, issuer and server, kept in a folder if one is given."""

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.sigstore_instance import trust_config
from tests.sigstore_instance.authority import Authority, make_root_certificate
from tests.sigstore_instance.log import TransparencyLog
from tests.sigstore_instance.oidc import Issuer
from tests.sigstore_instance.server import SigstoreServer

NAME = "private-sigstore.test"
# An issuer is a name. It isn't an address here, so that policies that name it outlive the port.
ISSUER = f"https://oidc.{NAME}"

_POLL_SECONDS = 0.02  # how soon `stop` is noticed


class PrivateSigstore:
    """A running Sigstore with real keys, certificates, promises and proofs, on loopback.

    `trusted_root_json` verifies what it signed, also after a restart with the same `state_dir`; `trust_config_json`
    names the port in use as well and is what `skerry sign --trust-config` takes. With a `state_dir` both are written
    there as `trusted_root.json` and `trust_config.json`.
    """

    def __init__(self, state_dir: Path | None, port: int) -> None:
        if state_dir is not None:
            state_dir.mkdir(parents=True, exist_ok=True)
        ca_key = _key(state_dir, "ca")
        authority = Authority(ca_key, _certificate(state_dir, ca_key), _key(state_dir, "ct"))
        log_key = _key(state_dir, "log")
        log_path = state_dir / "log.txt" if state_dir is not None else None
        self.log = TransparencyLog(log_key, name=f"rekor.{NAME}", path=log_path)
        self._issuer = Issuer(ISSUER, _key(state_dir, "oidc"))
        self._server = SigstoreServer(port, authority, self.log, self._issuer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="private-sigstore", daemon=True
        )
        self._thread.start()

        root = trust_config.trusted_root(authority, log_key, name=NAME)
        self.trusted_root_json = json.dumps(root, indent=1).encode()
        self.trust_config_json = trust_config.client_trust_config(root, base_url=self.base_url, issuer=ISSUER)
        if state_dir is not None:
            (state_dir / "trusted_root.json").write_bytes(self.trusted_root_json)
            (state_dir / "trust_config.json").write_bytes(self.trust_config_json)

    @classmethod
    def start(cls, state_dir: Path | None = None, *, port: int = 0) -> Self:
        """Start an instance; port 0 takes a free one. Without `state_dir` its keys are gone when it stops."""
        return cls(state_dir, port)

    def stop(self) -> None:
        """Stop answering and close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def issuer(self) -> str:
        """The issuer that policies name beside a subject."""
        return self._issuer.url

    def token(self, subject: str) -> str:
        """An identity token for an email (or a workflow's URI), good for ten minutes."""
        return self._issuer.token(subject)


def _key(state_dir: Path | None, name: str) -> ec.EllipticCurvePrivateKey:
    path = state_dir / f"{name}.key" if state_dir is not None else None
    if path is not None and path.exists():
        key = load_pem_private_key(path.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key
    key = ec.generate_private_key(ec.SECP256R1())
    if path is not None:
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _certificate(state_dir: Path | None, ca_key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    path = state_dir / "ca.crt" if state_dir is not None else None
    if path is not None and path.exists():
        return x509.load_pem_x509_certificate(path.read_bytes())
    certificate = make_root_certificate(ca_key, NAME)
    if path is not None:
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return certificate
