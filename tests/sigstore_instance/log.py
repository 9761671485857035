"""The transparency log (Rekor v1's part): `dsse` entries in a growing Merkle tree, each proven and promised."""

import base64
import hashlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from skerry_core.trust.dsse import pre_authentication_encoding
from tests.sigstore_instance import merkle
from tests.sigstore_instance.authority import key_id

_ECDSA = ec.ECDSA(hashes.SHA256())
_TREE_ID = 1


class EntryRefusedError(Exception):
    """The proposed entry is malformed, or its signature is not by the key it comes with."""


class TransparencyLog:
    """Appends entries and proves them; `path` keeps the leaves over a restart. Threads may share it."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, *, name: str, path: Path | None) -> None:
        self._key = key
        self._name = name
        self._path = path
        self._lock = threading.Lock()
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._leaves = [merkle.leaf_hash(base64.b64decode(line)) for line in lines]

    def __len__(self) -> int:
        return len(self._leaves)

    def append(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """Check and add a proposed `dsse` entry; the answer is Rekor's `LogEntry` JSON, proofs included."""
        body = _entry_body(proposed)
        with self._lock:
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(base64.b64encode(body).decode() + "\n")
            self._leaves.append(merkle.leaf_hash(body))
            leaves = tuple(self._leaves)
        return self._log_entry(body, leaves)

    def _log_entry(self, body: bytes, leaves: tuple[bytes, ...]) -> dict[str, Any]:
        index = len(leaves) - 1
        root = merkle.root_hash(leaves)
        log_id = key_id(self._key.public_key())
        promised: dict[str, Any] = {
            "body": base64.b64encode(body).decode(),
            "integratedTime": int(time.time()),
            "logID": log_id.hex(),
            "logIndex": index,
        }
        verification = {
            "signedEntryTimestamp": base64.b64encode(self._key.sign(rfc8785.dumps(promised), _ECDSA)).decode(),
            "inclusionProof": {
                "logIndex": index,
                "rootHash": root.hex(),
                "treeSize": len(leaves),
                "hashes": [sibling.hex() for sibling in merkle.inclusion_proof(leaves, index)],
                "checkpoint": self._checkpoint(root, len(leaves)),
            },
        }
        return {f"{_TREE_ID:016x}{leaves[index].hex()}": {**promised, "verification": verification}}

    def _checkpoint(self, root: bytes, size: int) -> str:
        """A signed note, https://github.com/transparency-dev/formats/tree/main/log."""
        note = f"{self._name} - {_TREE_ID}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = key_id(self._key.public_key())[:4] + self._key.sign(note.encode(), _ECDSA)
        return f"{note}\n\N{EM DASH} {self._name} {base64.b64encode(signature).decode()}\n"


def _entry_body(proposed: dict[str, Any]) -> bytes:
    """The canonical body of a `dsse` 0.0.1 entry, after checking the signature in it as Rekor does."""
    try:
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        (verifier,) = content["verifiers"]
        (signature,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"])
        key = x509.load_pem_x509_certificate(base64.b64decode(verifier)).public_key()
        signed = pre_authentication_encoding(envelope["payloadType"], payload)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise EntryRefusedError("the verifier is not an ECDSA certificate")
        key.verify(base64.b64decode(signature["sig"]), signed, _ECDSA)
    except InvalidSignature as error:
        raise EntryRefusedError("the envelope's signature is not by the key of its certificate") from error
    except (KeyError, TypeError, ValueError) as error:
        raise EntryRefusedError(f"not a dsse entry: {error!r}") from error
    return rfc8785.dumps(
        {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _sha256(content["envelope"].encode()),
                "payloadHash": _sha256(payload),
                "signatures": [{"signature": signature["sig"], "verifier": verifier}],
            },
        }
    )


def _sha256(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
