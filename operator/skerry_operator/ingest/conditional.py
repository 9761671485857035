"""Whether a store really refuses to write an object that is there, when it's asked to.

All of Delta's safety between writers rests on that: a commit is a PUT with `If-None-Match: *`. A server that doesn't
know the header takes the second commit of a version over the first, and events are lost without a word. Older
releases of many servers are such, so it is tried out.
"""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import StaticProvider
from minio.signer import sign_v4_s3
from minio.time import to_amz_date, utcnow

from skerry_core.errors import UserMustActError
from skerry_core.store.errors import StoreUnavailableError
from skerry_core.store.http import GuardedPool
from skerry_core.store.key_folder import KeyFolder
from skerry_core.store.location import S3Access
from skerry_operator.ingest.lake import Lake

_KEY = "probes/written-once"


def check_conditional_put(lake: Lake, pool: GuardedPool | None = None) -> None:
    """Write one object twice, below `probes/`; UserMustActError `StoreNotConditional` if the second PUT is taken.

    A folder needs no check: links are made there, which a file system does once. Raises the store's own errors when it
    can't be asked.
    """
    if lake.access is None:
        return
    pool = pool or GuardedPool(ca_file=lake.access.ca_file)
    lake.store.put(_KEY, b"1")
    status = _put_if_absent(lake.uri, lake.access, pool)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
        raise StoreUnavailableError(f"{lake.uri} answers with HTTP status {status}")
    if status not in {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT}:
        raise UserMustActError(
            "StoreNotConditional",
            f"{lake.uri}: the server answers {status} to a PUT with If-None-Match for an object that is there, so two "
            "writers could overwrite each other's commits: use an S3 server that knows conditional writes",
        )


def _put_if_absent(uri: str, access: S3Access, pool: GuardedPool) -> int:
    location = urlsplit(uri)
    path = f"{location.netloc}/{location.path.strip('/')}/{_KEY}".replace("//", "/")
    url = urlsplit(f"{access.endpoint.rstrip('/')}/{quote(path)}")
    body = b"2"
    digest, now = hashlib.sha256(body).hexdigest(), utcnow()
    headers: dict[str, str | list[str] | tuple[str]] = {
        "Host": url.netloc,
        "If-None-Match": "*",
        "x-amz-content-sha256": digest,
        "x-amz-date": to_amz_date(now),
    }
    signed = sign_v4_s3(
        method="PUT",
        url=url,
        region=access.region,
        headers=headers,
        credentials=_credentials(access),
        content_sha256=digest,
        date=now,
    )
    try:
        return pool.request("PUT", url.geturl(), body=body, headers=_plain(signed)).status
    except urllib3.exceptions.HTTPError as error:
        raise StoreUnavailableError(f"{access.endpoint} can't be reached: {error}") from error


def _plain(headers: Mapping[str, str | list[str] | tuple[str]]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def _credentials(access: S3Access) -> Credentials:
    if access.key_folder is not None:
        return KeyFolder(access.key_folder).retrieve()
    return StaticProvider(access.access_key, access.secret_key, access.session_token).retrieve()
