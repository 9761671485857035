"""The policy that a node goes by: what its assignment names, else the last one that it could read, else the default.

Nothing but a readable policy replaces a policy. An assignment that names none changes nothing either (law 2): rules of
consent and privacy must not end because a hub was set up anew, or because an assignment can't be read.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from skerry_core import digest as digests
from skerry_core.canonical import parse_canonical
from skerry_core.durable import write_file
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import MAX_DOCUMENT_BYTES, SyncPolicyDocument


class Origin(StrEnum):
    """Where the policy in force is from."""

    ASSIGNED = "Assigned"
    LAST_GOOD = "LastGood"
    DEFAULT = "Default"


@dataclass(frozen=True, slots=True)
class InForce:
    """The policy in force; `digest` is None for the default one, `trouble` says why it isn't the assigned one.

    `data` are the canonical bytes of an assigned policy that was read from its blob, to be kept as the last good one.
    """

    document: SyncPolicyDocument
    origin: Origin
    digest: str | None = None
    data: bytes | None = None
    trouble: str | None = None


def read_policy(data: bytes, digest: str) -> SyncPolicyDocument:
    """Read a policy's canonical bytes; ValueError if they aren't those of the digest, or no policy that we know."""
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"it has more than {MAX_DOCUMENT_BYTES} bytes")
    if digests.of_bytes(data) != digest:
        raise ValueError("its bytes are not those of the digest")
    return SyncPolicyDocument.model_validate(parse_canonical(data))


def decide(digest: str | None, data: bytes | None, kept: bytes | None) -> InForce:
    """Choose the policy: `data` are the bytes found for the assigned `digest`, `kept` those of the last-good file."""
    trouble = None
    if digest is not None:
        try:
            if data is not None:
                return InForce(read_policy(data, digest), Origin.ASSIGNED, digest, data)
            trouble = f"sync policy {digest} is not on this node yet"
        except ValueError as error:
            trouble = f"sync policy {digest} can't be read: {error}"
    if kept is not None:
        name, _, last = kept.partition(b"\n")
        last_digest = name.decode(errors="replace")
        try:
            document = read_policy(last, last_digest)
            if last_digest == digest:
                return InForce(document, Origin.ASSIGNED, digest)
            return InForce(document, Origin.LAST_GOOD, last_digest, trouble=trouble)
        except ValueError as error:
            trouble = f"{trouble or 'no sync policy is assigned'}; the last good one can't be read: {error}"
    return InForce(DEFAULT_POLICY, Origin.DEFAULT, trouble=trouble)


def load(blobs_root: Path, digest: str | None, last_good_path: Path) -> InForce:
    """Load the policy of a node and keep it as its last good one; never raises.

    `blobs_root` is the folder `blobs` of the node's store; `last_good_path` a file that the caller's process may write.
    A last-good file that can't be written is part of `trouble`; the policy holds all the same.
    """
    data = None if digest is None else _read(blobs_root / "sha256" / digests.hex_of(digest))
    kept = _read(last_good_path)
    chosen = decide(digest, data, kept)
    if chosen.data is None or chosen.digest is None:
        return chosen
    keep = chosen.digest.encode() + b"\n" + chosen.data
    if keep == kept:
        return chosen
    try:
        write_file(last_good_path, keep)
    except OSError as error:
        trouble = f"sync policy {digest} can't be kept for a time without it: {error}"
        return InForce(chosen.document, chosen.origin, chosen.digest, chosen.data, trouble)
    return chosen


def load_policy(blobs_root: Path, digest: str | None, last_good_path: Path) -> SyncPolicyDocument:
    """Load the policy of a node as `load` does, for whoever needs nothing but the policy."""
    return load(blobs_root, digest, last_good_path).document


def _read(path: Path) -> bytes | None:
    # One byte more than a policy and its digest may have: what is longer is refused by its size.
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 128)
    except OSError:
        return None
