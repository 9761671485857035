"""Whether a store keeps signed upload forms to their prefix.

A POST policy compares the key as a string. A server that then resolves dot segments as a file system does would let
`sites/a/../b/x` pass a form for `sites/a/` and write `sites/b/x`: S3 itself keeps such keys as they are, MinIO refuses
them, versitygw 1.8.0 over a folder resolves them. Nothing in a policy can forbid it, so it is tried out.
"""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Protocol

import urllib3

from skerry_core.errors import UserMustActError
from skerry_core.store.errors import StoreUnavailableError
from skerry_core.store.grant import Presigner
from skerry_core.store.http import GuardedPool
from skerry_core.store.port import Store

_LIFETIME = timedelta(minutes=5)
_WITHIN = "probes/within/"
_OUTSIDE = "probes/outside"


class SigningStore(Store, Presigner, Protocol):
    """A store that signs; `skerry_core.store.s3.S3Store` is."""


def check_confinement(store: SigningStore, now: datetime, pool: GuardedPool | None = None) -> None:
    """Try to climb out of a form's prefix, below `probes/`; UserMustActError `StoreNotConfining` if that works.

    Ask once, before the first grant: a site of a store that fails this could write other sites' events. Raises the
    store's own errors when it can't be asked.
    """
    form = store.post_form(_WITHIN, now, _LIFETIME, max_bytes=1)
    store.delete(_OUTSIDE)
    fields: dict[str, str | tuple[str, bytes, str]] = {
        **form.fields,
        "key": f"{form.prefix}../outside",
        "file": ("data", b"?", "application/octet-stream"),
    }
    try:
        answer = (pool or GuardedPool()).request("POST", form.url, fields=fields)
    except urllib3.exceptions.HTTPError as error:
        raise StoreUnavailableError(f"{store.uri} can't be reached: {error}") from error
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise StoreUnavailableError(f"{store.uri} answers with HTTP status {answer.status}")
    if store.stat(_OUTSIDE) is not None:
        store.delete(_OUTSIDE)
        raise UserMustActError(
            "StoreNotConfining",
            f"{store.uri}: the server resolves `..` in keys, so sites could write each other's objects: use another "
            "S3 server, or put a proxy before it that refuses keys with dot segments",
        )
