"""The site's standing with its hub: enrolls, renews, and hands out a Link that carries the current certificate."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from skerry_core.errors import UserMustActError, WaitError
from skerry_core.store.metered import Meter
from skerry_operator.kube import connect
from skerry_operator.kube.api import KubeApi
from skerry_operator.link.credential import Credential, CredentialSecret
from skerry_operator.link.enroll import RequestDeniedError, request_certificate
from skerry_operator.link.hub_api import HubApiLink
from skerry_operator.link.port import Link
from skerry_operator.link.renewal import Step, decide
from skerry_operator.link.traffic import Purpose, counted_as


@dataclass(frozen=True)
class HubAddress:
    """Where the hub is and what it takes to trust and to enter it: URL, CA file, file of the bootstrap token.

    `scratch` is a folder in memory: TLS takes certificate and key from files only.
    """

    url: str
    ca_file: Path
    token_file: Path
    scratch: Path


class Dialer:
    """Connections to one hub."""

    def __init__(self, address: HubAddress, meter: Meter) -> None:
        """`meter` counts what they all carry."""
        self._address = address
        self._meter = meter

    def bootstrap_token(self) -> str:
        """The token as its Secret has it now; empty if there is none."""
        try:
            return self._address.token_file.read_text().strip()
        except OSError:
            return ""

    def by_token(self, token: str) -> KubeApi:
        """The hub as a bootstrap token sees it."""
        return connect.by_token(self._address.url, ca_file=self._address.ca_file, token=token, meter=self._meter)

    def by_certificate(self, credential: Credential) -> KubeApi:
        """The hub as this site's certificate sees it."""
        certificate = _private_file(self._address.scratch / "hub.crt", credential.certificate)
        key = _private_file(self._address.scratch / "hub.key", credential.key)
        return connect.by_certificate(
            self._address.url,
            ca_file=self._address.ca_file,
            certificate_file=certificate,
            key_file=key,
            meter=self._meter,
        )


class HubSession:
    """Keeps the credential fresh. `maintain` is for one thread; `link` is for all."""

    def __init__(
        self,
        site: str,
        secret: CredentialSecret,
        dialer: Dialer,
        make_link: Callable[[KubeApi, str], Link] = HubApiLink,
    ) -> None:
        self._site = site
        self._secret = secret
        self._dialer = dialer
        self._make_link = make_link
        self._hub: KubeApi | None = None
        self._current: Link | None = None
        self._certificate = b""

    def link(self) -> Link:
        """The link to use now; WaitError `NotEnrolled` before there is one."""
        if self._current is None:
            raise WaitError("NotEnrolled", "this site has no valid certificate for its hub yet")
        return self._current

    def maintain(self, now: datetime, *, refused: bool = False) -> timedelta:
        """Do what the credential needs at `now`; the time until this should be called again, at most.

        `refused`: the hub doesn't take the certificate that the link carries. Raises what keeps the site from a fresh
        certificate; a link that still works goes on working.
        """
        credential = self._secret.load()
        token = self._dialer.bootstrap_token()
        decision = decide(credential.validity, bootstrap_token=bool(token), now=now, refused=refused)
        if decision.step in (Step.USE, Step.RENEW, Step.REPLACE):
            self._use(credential)
        else:
            self._current = None
        if decision.reason:
            raise UserMustActError(decision.reason, decision.message)
        match decision.step:
            case Step.RENEW if self._hub is not None:
                self._replace(credential, self._hub)
            case Step.ENROLL | Step.REPLACE:
                self._replace(credential, self._dialer.by_token(token))
        return decision.again_in

    def _replace(self, credential: Credential, hub: KubeApi) -> None:
        asking = credential.with_next_key()
        if asking != credential:
            self._secret.save(asking)
        try:
            with counted_as(Purpose.ENROLLMENT):
                certificate = request_certificate(hub, site=self._site, key_pem=asking.next_key)
            fresh = asking.issued(certificate)
        except RequestDeniedError:
            self._secret.save(replace(asking, next_key=b""))
            raise
        self._secret.save(fresh)
        self._use(fresh)

    def _use(self, credential: Credential) -> None:
        if credential.certificate != self._certificate or self._current is None:
            self._hub = self._dialer.by_certificate(credential)
            self._current = self._make_link(self._hub, self._site)
            self._certificate = credential.certificate


def _private_file(path: Path, content: bytes) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path
