"""When a site's client certificate is used, renewed or given up. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# Kubelets and OCM renew in the last third of a certificate's life too: two thirds of the life are left for retries.
RENEW_AFTER = 2 / 3


class Step(StrEnum):
    USE = "use"
    RENEW = "renew"  # go on using the certificate, ask for the next one with it
    ENROLL = "enroll"  # ask for the first one, or one after expiry, with the bootstrap token
    REPLACE = "replace"  # go on offering the certificate that the hub refuses, ask for another with the bootstrap token
    STUCK = "stuck"  # neither certificate nor token: a person must act


@dataclass(frozen=True)
class Validity:
    """A certificate's `notBefore` and `notAfter`."""

    not_before: datetime
    not_after: datetime

    @property
    def renew_at(self) -> datetime:
        """The moment from which the certificate is to be replaced."""
        return self.not_before + (self.not_after - self.not_before) * RENEW_AFTER


@dataclass(frozen=True)
class Decision:
    """What to do now, and after what time to ask again at the latest; with a `reason`, what a person must act on."""

    step: Step
    again_in: timedelta
    reason: str = ""
    message: str = ""


_LOOK_AGAIN = timedelta(minutes=1)
_FOR_THE_SITE = "at the hub and put it into the Secret skerry-bootstrap (key token)"


def decide(certificate: Validity | None, *, bootstrap_token: bool, now: datetime, refused: bool = False) -> Decision:
    """Choose the step for a site that holds `certificate`; `notBefore` is not held against a clock that lags.

    `refused`: the hub doesn't take it, whatever its dates say; its CA may be another since it was restored.
    """
    valid = certificate if certificate is not None and now < certificate.not_after else None
    if valid is not None and not refused:
        if now >= valid.renew_at:
            return Decision(Step.RENEW, _LOOK_AGAIN)
        return Decision(Step.USE, min(valid.renew_at - now, timedelta(hours=1)))
    if bootstrap_token:
        return Decision(Step.ENROLL if valid is None else Step.REPLACE, _LOOK_AGAIN)
    if certificate is None:
        return Decision(
            Step.STUCK,
            _LOOK_AGAIN,
            "BootstrapTokenMissing",
            f"this site has no credential for its hub: create a bootstrap token {_FOR_THE_SITE}, or set "
            "bootstrap.token in the chart",
        )
    if valid is None:
        return Decision(
            Step.STUCK,
            _LOOK_AGAIN,
            "CertificateExpired",
            f"the hub credential expired at {certificate.not_after:%Y-%m-%d %H:%M} UTC and there is no bootstrap "
            f"token: create one {_FOR_THE_SITE}; models serve on meanwhile",
        )
    return Decision(
        Step.USE,
        _LOOK_AGAIN,
        "CertificateRefused",
        f"the hub refuses this site's certificate, which is valid until {valid.not_after:%Y-%m-%d}: has its CA been "
        f"replaced? Create a bootstrap token {_FOR_THE_SITE}; models serve on meanwhile",
    )
