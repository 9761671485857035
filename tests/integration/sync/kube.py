"""An API server over loopback TLS with just what sync asks of one, whose faults a test can set.

It stands for the real one where a fault can't be made there in reasonable time; `test_real_api.py` asks the real one.
"""

import datetime as dt
import ipaddress
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from skerry_edge.sync.local_api import ASSIGNMENTS, SECRETS

NODES = "/apis/skerry.dev/v1alpha1/runtimenodes"


@dataclass
class Kube:
    """Objects by path; `credentials` is the folder that a pod has mounted. Use as a context manager."""

    folder: Path
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[tuple[str, str]] = field(default_factory=list)
    token: str = "token-1"
    version: int = 100
    gone: bool = False
    watches: int = 0
    port: int = 0

    def __post_init__(self):
        self.changed = threading.Condition()
        self.credentials = self.folder / "credentials"
        self.credentials.mkdir()
        self.rotate(self.token)
        certificate, key = _self_signed()
        (self.credentials / "ca.crt").write_bytes(certificate)
        (self.folder / "server.pem").write_bytes(key + certificate)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.kube = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.up = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        with self.changed:
            self.up = False
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        if self.up:
            self.stop()

    def rotate(self, token: str) -> None:
        """Replace the mounted token, as the kubelet does, and accept no other."""
        self.token = token
        (self.credentials / "token").write_text(token)

    def put(self, path: str, **content: Any) -> None:
        with self.changed:
            self.version += 1
            metadata = {"name": path.rpartition("/")[2], "resourceVersion": str(self.version), "generation": 1}
            self.objects[path] = {"metadata": metadata, **content}
            self.changed.notify_all()

    def found(self, path: str) -> list[dict[str, Any]]:
        """The object of a path, or all below one that ends with a slash."""
        names = [name for name in sorted(self.objects) if name == path or (path[-1] == "/" and name.startswith(path))]
        return [self.objects[name] for name in names]

    def assign(self, envelope: str, quarantined: tuple[str, ...] = ()) -> None:
        models = [{"namespace": "demo", "model": "har", "phase": "Serving", "quarantined": list(quarantined)}]
        self.put(f"{ASSIGNMENTS}/current", spec={"envelope": envelope}, status={"models": models})

    def grant(self, encoded: str) -> None:
        self.put(f"{SECRETS}/store-grant", data={"grant.json": encoded})

    def delete(self, path: str) -> None:
        with self.changed:
            del self.objects[path]
            self.version += 1
            self.changed.notify_all()

    def expire_watches(self) -> None:
        with self.changed:
            self.gone = True
            self.changed.notify_all()

    def reasons(self, name: str) -> set[str]:
        """Reasons in the conditions of a RuntimeNode; empty while it has none."""
        status = self.objects.get(f"{NODES}/{name}", {}).get("status", {})
        return {condition["reason"] for condition in status.get("conditions", ())}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    kube: Kube

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that are killed are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        # One object, or with no selector all of the collection.
        path = f"{parts.path}/{query.get('fieldSelector', '').removeprefix('metadata.name=')}"
        if not self._allowed():
            return
        if "watch" in query:
            self._watch(path, int(query["resourceVersion"]))
            return
        with self.server.kube.changed:
            found = self.server.kube.found(path)
            version = str(self.server.kube.version)
        self._answer(200, {"items": found, "metadata": {"resourceVersion": version}})

    def do_PATCH(self) -> None:
        kube, body = self.server.kube, self._body()
        path = self.path.removesuffix("/status")
        if not self._allowed():
            return
        found = kube.objects.get(path)
        if found is None or self.headers["Content-Type"] != "application/merge-patch+json":
            self._answer(404, {"message": f"{path} not found"})
            return
        merged = {key: value for key, value in body["status"].items() if value is not None}
        if found.get("status") != merged:
            kube.writes.append(("PATCH", path))
            kube.put(path, spec=found["spec"], status=merged)
        self._answer(200, kube.objects[path])

    def do_POST(self) -> None:
        kube, body = self.server.kube, self._body()
        if not self._allowed():
            return
        path = f"{self.path}/{body['metadata']['name']}"
        kube.writes.append(("POST", path))
        kube.put(path, spec=body["spec"])
        self._answer(201, kube.objects[path])

    def _watch(self, path: str, version: int) -> None:
        kube = self.server.kube
        kube.watches += 1
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            with kube.changed:
                while kube.up and not kube.gone and kube.version <= version:
                    kube.changed.wait(30)
                found, gone, up = kube.found(path), kube.gone, kube.up
                fresh = [each for each in found if int(each["metadata"]["resourceVersion"]) > version]
                version, kube.gone = kube.version, False
            if not up:
                self.close_connection = True
                return
            if gone:
                self._chunk({"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}})
                return
            if not found:
                self._chunk({"type": "DELETED", "object": {"metadata": {}}})
            for each in fresh:
                self._chunk({"type": "MODIFIED", "object": each})

    def _chunk(self, event: dict[str, Any]) -> None:
        line = json.dumps(event).encode() + b"\n"
        self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))

    def _allowed(self) -> bool:
        allowed = self.headers.get("Authorization") == f"Bearer {self.server.kube.token}"
        if not allowed:
            self._answer(401, {"message": "Unauthorized"})
        return allowed

    def _body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def _self_signed() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem), private
