"""The HTTP face: Fulcio's signingCert, Rekor's log entries, and a token endpoint, on loopback only."""

import base64
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.sigstore_instance.authority import Authority
from tests.sigstore_instance.log import EntryRefusedError, TransparencyLog
from tests.sigstore_instance.oidc import Issuer, TokenRefusedError

_MAX_REQUEST_BYTES = 1 << 20


class SigstoreServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1 at once; `serve_forever` answers."""

    daemon_threads = True

    def __init__(self, port: int, authority: Authority, log: TransparencyLog, issuer: Issuer) -> None:
        self.authority = authority
        self.log = log
        self.issuer = issuer
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: SigstoreServer

    def do_POST(self) -> None:
        routes = {
            "/api/v2/signingCert": self._signing_certificate,
            "/api/v1/log/entries": self.server.log.append,
            "/oidc/token": self._token,
        }
        route = routes.get(self.path)
        if route is None:
            self._answer(HTTPStatus.NOT_FOUND, {"code": 404, "message": f"no {self.path} here"})
            return
        try:
            self._answer(HTTPStatus.CREATED, route(self._request()))
        except TokenRefusedError as error:
            self._answer(HTTPStatus.UNAUTHORIZED, {"code": 401, "message": f"identity token refused: {error}"})
        except (EntryRefusedError, KeyError, TypeError, ValueError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"code": 400, "message": str(error)})

    def _request(self) -> dict[str, Any]:
        size = int(self.headers["Content-Length"])
        if size > _MAX_REQUEST_BYTES:
            raise ValueError("request too large")
        return dict(json.loads(self.rfile.read(size)))

    def _token(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"token": self.server.issuer.token(str(request["subject"]))}

    def _signing_certificate(self, request: dict[str, Any]) -> dict[str, Any]:
        issuer, authority = self.server.issuer, self.server.authority
        subject = issuer.subject(self.headers.get("Authorization", "").removeprefix("Bearer "))
        csr = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        key = csr.public_key()
        # The CSR's own signature proves that the client holds the key.
        if not csr.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("the certificate signing request is not signed by an ECDSA key")
        leaf = authority.issue(key, subject=subject, issuer=issuer.url)
        chain = [certificate.public_bytes(Encoding.PEM).decode() for certificate in (leaf, authority.certificate)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Keep quiet."""
