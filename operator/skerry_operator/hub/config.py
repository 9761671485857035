"""What the chart tells the hub operator, by environment and mounted files; read once, but for the store's keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from skerry_core.errors import UserMustActError
from skerry_core.store.grant import S3GrantIssuer
from skerry_core.store.location import S3Access, open_store
from skerry_core.store.port import Store
from skerry_core.store.s3 import S3Store
from skerry_core.trust import keys
from skerry_operator.store_settings import needed, read_mounted, store_access


@dataclass(frozen=True)
class HubConfig:
    """The store with the hub's own credentials, the pinned trust anchors, and the key that signs assignments.

    `public_endpoint` is where sites reach the store, if that is another address than the hub's. `incarnation` is raised
    by hand when a lost hub is set up anew, so that its assignments count as newer than those of the old one.
    """

    store_uri: str
    access: S3Access | None
    public_endpoint: str
    trusted_root: bytes
    policy_key: bytes
    hub_key: bytes = field(repr=False)
    incarnation: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read it all; UserMustActError names what is missing or can't be used."""
        trust = Path(environment.get("SKERRY_TRUST_DIR", "/etc/skerry/trust"))
        uri = needed(environment, "SKERRY_STORE_URI")
        hub_key = read_mounted(Path(environment.get("SKERRY_HUB_KEY_FILE", "/etc/skerry/hub/hub.key")))
        keys.load_private_key(hub_key)
        access = store_access(environment, uri)
        incarnation = environment.get("SKERRY_INCARNATION", "1")
        if not incarnation.isdecimal():
            raise UserMustActError("SettingInvalid", f"SKERRY_INCARNATION is {incarnation!r}: give a whole number")
        return cls(
            store_uri=uri,
            access=access,
            public_endpoint=environment.get("SKERRY_STORE_PUBLIC_ENDPOINT") or (access.endpoint if access else ""),
            trusted_root=read_mounted(trust / "trusted_root.json"),
            policy_key=read_mounted(trust / "policy.pub"),
            hub_key=hub_key,
            incarnation=int(incarnation),
        )

    def open_store(self) -> Store:
        """The store as the hub itself uses it."""
        return open_store(self.store_uri, self.access)

    def grant_issuer(self) -> S3GrantIssuer | None:
        """What signs the sites' grants, for the address that sites use; None for a folder, which needs none."""
        if self.access is None:
            return None
        store = open_store(self.store_uri, S3Access(**{**vars(self.access), "endpoint": self.public_endpoint}))
        assert isinstance(store, S3Store)
        return S3GrantIssuer(store)
