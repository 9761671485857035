"""The pinned trusted root: which of Sigstore's keys counted at a given time, whatever this machine's clock says.

sigstore-python drops a key whose validity has not begun by the machine's clock (so a clock in 1970 fails every
verification) and accepts signatures made after a key's validity ended. Here a key counts if it was valid at the time
that the transparency log signed; the entries handed to sigstore then carry no validity of their own.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from sigstore.models import TrustedRoot
from sigstore.verify.verifier import Verifier
from sigstore_models.common.v1 import TimeRange
from sigstore_models.trustroot import v1

from skerry_core.trust.errors import Refusal, TrustError, refusing

MAX_TRUSTED_ROOT_BYTES = 1 << 20

_ALWAYS = TimeRange(start=datetime.min.replace(tzinfo=UTC))


class PinnedRoot:
    """A trusted root in Sigstore's JSON, as installed with the site. Threads may share it."""

    def __init__(self, trusted_root: bytes) -> None:
        """Read the root; TrustError `TrustedRootInvalid` if it is malformed or lacks a CA, a CT log or a log."""
        if len(trusted_root) > MAX_TRUSTED_ROOT_BYTES:
            raise TrustError(
                Refusal.TRUSTED_ROOT_INVALID,
                f"the trusted root has {len(trusted_root)} bytes, allowed are {MAX_TRUSTED_ROOT_BYTES}",
            )
        with refusing(Refusal.TRUSTED_ROOT_INVALID, "the trusted root can't be read"):
            self._root = v1.TrustedRoot.from_json(trusted_root)
            if not (self._root.certificate_authorities and self._root.ctlogs and self._root.tlogs):
                raise ValueError("it must hold a certificate authority, a CT log and a transparency log")
            logs = (*self._root.tlogs, *self._root.ctlogs)
            authorities = (*self._root.certificate_authorities, *self._root.timestamp_authorities)
            self._periods = [log.public_key.valid_for for log in logs] + [ca.valid_for for ca in authorities]
            for period in self._periods:
                if period is not None and None in {period.start.tzinfo, (period.end or period.start).tzinfo}:
                    raise ValueError("a validity period has no time zone")
            # Built once with every entry, so that a CA certificate that can't be loaded is found at install.
            _verifier(self._root, lambda _: True)
        # One verifier for each set of entries that was valid together: a handful, since validity periods are few.
        self._verifiers: dict[tuple[bool, ...], Verifier] = {}

    def verifier_at(self, time: datetime) -> Verifier:
        """Sigstore's verifier over the entries that were valid at `time`; it never opens a connection.

        Raises sigstore's errors if no CA or no log was valid then.
        """

        def counts(period: TimeRange | None) -> bool:
            return period is None or (period.start <= time and (period.end is None or time <= period.end))

        valid = tuple(map(counts, self._periods))
        verifier = self._verifiers.get(valid)
        if verifier is None:
            verifier = self._verifiers.setdefault(valid, _verifier(self._root, counts))
        return verifier


def _verifier(root: v1.TrustedRoot, counts: Callable[[TimeRange | None], bool]) -> Verifier:
    return Verifier(
        trusted_root=TrustedRoot(
            v1.TrustedRoot(
                media_type=root.media_type,
                tlogs=_timeless_logs(root.tlogs, counts),
                ctlogs=_timeless_logs(root.ctlogs, counts),
                certificate_authorities=_timeless_authorities(root.certificate_authorities, counts),
                timestamp_authorities=_timeless_authorities(root.timestamp_authorities, counts),
            )
        )
    )


def _timeless_logs(
    logs: list[v1.TransparencyLogInstance], counts: Callable[[TimeRange | None], bool]
) -> list[v1.TransparencyLogInstance]:
    return [
        log.model_copy(update={"public_key": log.public_key.model_copy(update={"valid_for": None})})
        for log in logs
        if counts(log.public_key.valid_for)
    ]


def _timeless_authorities(
    authorities: list[v1.CertificateAuthority], counts: Callable[[TimeRange | None], bool]
) -> list[v1.CertificateAuthority]:
    return [
        authority.model_copy(update={"valid_for": _ALWAYS}) for authority in authorities if counts(authority.valid_for)
    ]
