"""Store access for one site, for a while, without credentials: what the hub hands out and `sync` uses."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import Field, TypeAdapter

from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, Timestamp
from skerry_core.store.blobs import blob_key
from skerry_core.store.form import PostForm

LIFETIME = timedelta(hours=1)
MAX_UPLOAD_BYTES = 16 << 20
# Where the hub's requests to send records again lie, below a site's own prefix.
RESEND_FOLDER = "resend/"

_SITE = TypeAdapter(Name)


class UploadGrant(ApiModel):
    """Leave to POST objects of 1 to `max_bytes` bytes whose keys start with `prefix`; `fields` go with each."""

    url: str
    fields: dict[str, str]
    prefix: str
    max_bytes: Annotated[int, Field(ge=1)]


class StoreGrant(ApiModel):
    """Everything one site may do at the store until `expires_at`, as signed URLs and a signed form.

    `blobs` maps each digest that the site is assigned to a URL that may GET it; `list_url` lists the first 1,000 keys
    below the site's own prefix, `resend_url` those of the hub's requests to send records again (a grant of an older hub
    has none). Who holds the grant can do this much and nothing else.
    """

    site: Name
    expires_at: Timestamp
    blobs: Annotated[dict[Digest, str], Field(max_length=4096)]
    list_url: str
    resend_url: str | None = None
    upload: UploadGrant


class Presigner(Protocol):
    """What a store must be able to sign; `skerry_core.store.s3.S3Store` is."""

    def key_fingerprint(self) -> str: ...

    def presign_get(self, key: str, now: datetime, lifetime: timedelta) -> str: ...

    def presign_list(self, prefix: str, now: datetime, lifetime: timedelta) -> str: ...

    def post_form(self, prefix: str, now: datetime, lifetime: timedelta, max_bytes: int) -> PostForm: ...


class S3GrantIssuer:
    """Signs grants with the hub's store credentials. Pure: signing asks the store nothing.

    The presigner's endpoint is part of what is signed, so it must be the one that sites reach the store by.
    """

    def __init__(
        self, presigner: Presigner, *, lifetime: timedelta = LIFETIME, max_upload_bytes: int = MAX_UPLOAD_BYTES
    ) -> None:
        self._presigner = presigner
        self._lifetime = lifetime
        self._max_upload_bytes = max_upload_bytes

    def key_fingerprint(self) -> str:
        """Changes with the key pair that signs; grants made with another one are worth nothing any more."""
        return self._presigner.key_fingerprint()

    def issue(self, site: str, digests: Iterable[str], now: datetime) -> StoreGrant:
        """Grant a site its assigned blobs and its own prefix; ValueError for what is no site name or digest."""
        prefix = site_prefix(site)
        form = self._presigner.post_form(prefix, now, self._lifetime, self._max_upload_bytes)
        return StoreGrant(
            site=site,
            expires_at=now + self._lifetime,
            blobs={
                digest: self._presigner.presign_get(blob_key(digest), now, self._lifetime)
                for digest in sorted(set(digests))
            },
            list_url=self._presigner.presign_list(prefix, now, self._lifetime),
            resend_url=self._presigner.presign_list(prefix + RESEND_FOLDER, now, self._lifetime),
            upload=UploadGrant(url=form.url, fields=form.fields, prefix=form.prefix, max_bytes=self._max_upload_bytes),
        )


def site_prefix(site: str) -> str:
    """Where a site's own objects lie; the closing slash keeps site-a out of site-ab. ValueError for no site name."""
    return f"sites/{_SITE.validate_python(site)}/"


def renew_at(grant: StoreGrant, lifetime: timedelta = LIFETIME) -> datetime:
    """When the hub makes the next grant: at half of this one's life, so that a hub's short absence goes unnoticed."""
    return grant.expires_at - lifetime / 2
