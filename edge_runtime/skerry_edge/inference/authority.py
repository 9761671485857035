"""What this process was told and by whom: the last assignment and trust policy that verified, kept on its own disk.

Whatever the store folder holds is verified again here, since a thief of the folder, or of sync, must win nothing. What
does not verify changes nothing: the last good one stays in force, also over restarts.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import structlog

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_core import digest as digests
from skerry_core.assignment.document import AssignmentDocument  # noqa: TC001 - attributes, of use to readers
from skerry_core.durable import write_file
from skerry_core.errors import SkerryError, UserMustActError
from skerry_core.trust.assignment import open_assignment
from skerry_core.trust.policy import PolicyDocument  # noqa: TC001 - attributes, of use to readers
from skerry_core.trust.policy_envelope import MAX_ENVELOPE_BYTES, open_policy
from skerry_core.trust.verifier import ReleaseVerifier
from skerry_edge.inference.store_folder import StoreFolder

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TrustAnchors:
    """What was pinned at install."""

    verifier: ReleaseVerifier
    policy_key: bytes
    hub_key: bytes


def load_anchors(directory: Path) -> TrustAnchors:
    """Read the trust folder; UserMustActError `TrustAnchorsMissing`, or TrustError if they can't serve."""
    try:
        root = (directory / "trusted_root.json").read_bytes()
        policy_key = (directory / "policy.pub").read_bytes()
        hub_key = (directory / "hub.pub").read_bytes()
    except OSError as error:
        raise UserMustActError("TrustAnchorsMissing", f"the trust folder can't be read: {error}") from error
    return TrustAnchors(ReleaseVerifier(root), policy_key, hub_key)


class Authority:
    """Accepts assignments and policies, never an older one. Used by one thread."""

    def __init__(self, anchors: TrustAnchors, site: str, store: StoreFolder, state: Path) -> None:
        """Take up what was accepted before; `state` is the folder that only this process writes."""
        self._anchors = anchors
        self._site = site
        self._store = store
        self._assignment_file = state / "assignment.json"
        self._policy_file = state / "trust_policy.json"
        self._serials_file = state / "trust.json"
        self._envelope = ""
        self._unsaved = False
        self._last_serial, self._last_policy = self._read_serials()
        self.document: AssignmentDocument | None = None
        self.policy: PolicyDocument | None = None
        self._policy_digest = ""
        self._policy_envelope = b""
        self.refusal: SkerryError | None = None
        self.policy_refusal: SkerryError | None = None
        self._restore()

    @property
    def verifier(self) -> ReleaseVerifier:
        return self._anchors.verifier

    @property
    def policy_is_current(self) -> bool:
        """Whether the policy in force is the one that the assignment names; a stale one blocks new releases."""
        return self.document is not None and self._policy_digest == self.document.trust_policy

    def refresh(self) -> bool:
        """Look at the store folder again; whether assignment or policy is another one now."""
        before = (self._envelope, self._policy_digest)
        try:
            envelope = self._store.assignment_envelope()
            if envelope is not None and envelope != self._envelope:
                self._accept(envelope)
            self.refusal = None
        except SkerryError as error:
            self._tell(error)
        self._refresh_policy()
        if self._unsaved:
            self._save()
        return before != (self._envelope, self._policy_digest)

    def _accept(self, envelope: str) -> None:
        document = open_assignment(envelope, self._anchors.hub_key, site=self._site, last=self._last_serial)
        self.document, self._envelope, self._last_serial = document, envelope, document.serial
        self._unsaved = True
        _log.info("assignment accepted", serial=document.serial.key(), models=len(document.models))

    def _refresh_policy(self) -> None:
        """Open the policy that the assignment names, if it isn't the one in force."""
        if self.document is None or self.policy_is_current:
            self.policy_refusal = None
            return
        digest = self.document.trust_policy
        try:
            envelope = self._store.blob(digest, MAX_ENVELOPE_BYTES)
            self.policy = open_policy(envelope, self._anchors.policy_key, last_serial=self._last_policy)
        except SkerryError as error:
            if self.policy_refusal is None or self.policy_refusal.reason != error.reason:
                _log.warning("trust policy not in force", reason=error.reason, message=str(error))
            self.policy_refusal = error
            return
        self.policy_refusal = None
        self._policy_digest, self._policy_envelope = digest, envelope
        self._last_policy = self.policy.serial
        self._unsaved = True
        _log.info("trust policy in force", serial=self.policy.serial)

    def _tell(self, error: SkerryError) -> None:
        if self.refusal is None or self.refusal.reason != error.reason:
            _log.warning("assignment refused, the last good one stays", reason=error.reason, message=str(error))
        self.refusal = error

    # Over restarts

    def _read_serials(self) -> tuple[Serial | None, int | None]:
        try:
            noted = json.loads(self._serials_file.read_bytes())
            serial = noted.get("assignmentSerial")
            policy = noted.get("policySerial")
            return (Serial.model_validate(serial) if serial else None, int(policy) if policy else None)
        except FileNotFoundError:
            return None, None
        except (OSError, ValueError, AttributeError, TypeError) as error:
            _log.error("noted serials can't be read", error=str(error)[:300])
            return None, None

    def _restore(self) -> None:
        """Take up the last good assignment and policy; verified again, since disks can be edited too."""
        try:
            self._policy_envelope = self._policy_file.read_bytes()
            self.policy = open_policy(self._policy_envelope, self._anchors.policy_key, last_serial=self._last_policy)
            kept = json.loads(self._assignment_file.read_bytes())
            envelope = str(kept["envelope"])
            self.document = open_assignment(envelope, self._anchors.hub_key, site=self._site, last=self._last_serial)
            self._envelope, self._policy_digest = envelope, digests.of_bytes(self._policy_envelope)
            self._last_serial, self._last_policy = self.document.serial, self.policy.serial
        except FileNotFoundError:
            return
        except (SkerryError, OSError, ValueError, KeyError, TypeError) as error:
            _log.error("the last good assignment can't be taken up", error=str(error)[:300])

    def _save(self) -> None:
        """Make what is in force survive; a disk that can't take it is tried again with the next refresh."""
        try:
            if self.policy is not None:
                write_file(self._policy_file, self._policy_envelope)
            write_file(self._assignment_file, json.dumps({"envelope": self._envelope}).encode())
            serials = {
                "assignmentSerial": self._last_serial.to_wire() if self._last_serial is not None else None,
                "policySerial": self._last_policy,
            }
            write_file(self._serials_file, json.dumps(serials).encode())
        except OSError as error:
            _log.warning("accepted assignment can't be kept", error=str(error))
            return
        self._unsaved = False
