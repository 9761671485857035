"""The store as a site sees it: through a grant, over plain HTTP, with no credentials and no S3 SDK."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import unquote_plus, urlsplit
from xml.etree import ElementTree as ET

import urllib3
from urllib3.response import BaseHTTPResponse

from skerry_core.errors import WaitError
from skerry_core.store.errors import (
    REFUSED_CODES,
    GrantExpiredError,
    GrantRefusedError,
    ObjectMissingError,
    StoreAnswersWithPageError,
    StoreRefusedError,
    StoreUnavailableError,
)
from skerry_core.store.grant import StoreGrant
from skerry_core.store.http import GuardedPool, drained, ranged_body
from skerry_core.store.port import ObjectInfo, check_key

_MAX_LISTING = 4 << 20  # a full page of 1,000 keys has at most 1.5 MiB
_MAX_ANSWER = 1 << 16
_S3 = "{*}"


@dataclass(frozen=True)
class Listing:
    """The site's first 1,000 objects, keys relative to its prefix; `complete` is False when there are more."""

    objects: tuple[ObjectInfo, ...]
    complete: bool


class GrantedStore:
    """Does what one grant allows. Build a new one when the grant is renewed; connections are the pool's."""

    def __init__(self, grant: StoreGrant, pool: GuardedPool | None = None) -> None:
        self._grant = grant
        self._pool = pool or GuardedPool()

    def get(self, digest: str, start: int, limit: int, end: int | None = None) -> Iterator[bytes]:
        """Yield a blob's bytes [start, end) (None: to its end); lazily, so errors come with the first `next`.

        The digest is over the whole blob, which only who holds the first `start` bytes can check. StoreRefusedError as
        soon as the blob turns out to have more than `limit` bytes. WaitError `GrantLacksBlob` when the grant
        has no URL for the digest yet.
        """
        url = self._grant.blobs.get(digest)
        if url is None:
            raise WaitError("GrantLacksBlob", f"the grant has no URL for {digest} yet: the hub's next one should")
        if end is not None and end <= start:
            return
        # Asked for exactly: what a store sends beyond it would cross the link too.
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        with _Answer(self._request("GET", url, headers=headers)) as response:
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return
            if response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                self._refuse(response, digest)
            received = start
            for chunk in ranged_body(response, start, end):
                received += len(chunk)
                if received > limit:
                    raise StoreRefusedError(f"the store's {digest} is larger than the {limit} bytes that it may have")
                yield chunk

    def list_own(self) -> Listing:
        """List what lies below the site's own prefix."""
        return self._list(self._grant.list_url)

    def list_resends(self) -> Listing:
        """List the hub's requests to send records again, keys as in `list_own`; none if the grant can't list them."""
        return Listing((), complete=True) if self._grant.resend_url is None else self._list(self._grant.resend_url)

    def _list(self, url: str) -> Listing:
        with _Answer(self._request("GET", url)) as response:
            if response.status != HTTPStatus.OK:
                self._refuse(response, self._grant.upload.prefix)
            page = self._parsed(response, _MAX_LISTING)
        prefix = self._grant.upload.prefix
        decoded = unquote_plus if page.findtext(f"{_S3}EncodingType") == "url" else str
        objects = tuple(
            ObjectInfo(decoded(entry.findtext(f"{_S3}Key", "")).removeprefix(prefix), _size(entry))
            for entry in page.findall(f"{_S3}Contents")
        )
        return Listing(objects, page.findtext(f"{_S3}IsTruncated") != "true")

    def upload(self, key: str, data: bytes) -> None:
        """Store `data` at `key`, relative to the site's prefix (`events/<node>/…`). When it returns, the store has it.

        Putting the same bytes again is harmless. Raises StoreRefusedError above the grant's size.
        """
        grant = self._grant.upload
        if len(data) > grant.max_bytes:
            raise StoreRefusedError(f"{key} has {len(data)} bytes, more than the {grant.max_bytes} of one upload")
        whole_key = grant.prefix + check_key(key)
        fields = {**grant.fields, "key": whole_key, "file": ("data", data, "application/octet-stream")}
        with _Answer(self._request("POST", grant.url, fields=fields)) as response:
            if response.status != HTTPStatus.CREATED:
                self._refuse(response, whole_key)
            # Only the store names the key that it wrote: a proxy's friendly 201 must not release the node's own copy.
            if self._parsed(response).findtext(f"{_S3}Key") != whole_key:
                raise StoreAnswersWithPageError(_address(grant.url), "a success that doesn't name the object")

    def _request(self, method: str, url: str, **what: object) -> BaseHTTPResponse:
        try:
            return self._pool.request(method, url, preload_content=False, **what)  # type: ignore[arg-type]
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnavailableError(f"{_address(url)} can't be reached: {_without_urls(error)}") from None

    def _parsed(self, response: BaseHTTPResponse, limit: int = _MAX_ANSWER) -> ET.Element:
        try:
            return ET.fromstring(drained(response, limit))  # noqa: S314 - expat refuses entity expansion attacks
        except ET.ParseError:
            raise StoreAnswersWithPageError(_address(self._grant.list_url), "something that is not XML") from None

    def _refuse(self, response: BaseHTTPResponse, what: str) -> NoReturn:
        """Raise what a status other than success means."""
        status, address = response.status, _address(self._grant.list_url)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise StoreUnavailableError(f"{address} answers with HTTP status {status}")
        answer = self._parsed(response)
        code, message = answer.findtext("Code", ""), answer.findtext("Message", "")
        if "expired" in message.lower():
            raise GrantExpiredError(f"{address}: the grant has expired ({code}): the hub's next one is awaited")
        if status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED} or code in REFUSED_CODES:
            raise GrantRefusedError(
                f"{address} refuses the grant ({code}: {message}): check the hub's store credentials and the clocks"
            )
        if status == HTTPStatus.NOT_FOUND:
            raise ObjectMissingError(what)
        raise StoreRefusedError(f"{address} refuses {what}: {code}: {message}")


class _Answer:
    """A response whose connection goes back to the pool, or is closed when its body wasn't read to the end."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        self._response = response

    def __enter__(self) -> BaseHTTPResponse:
        return self._response

    def __exit__(self, *_: object) -> None:
        if self._response.length_remaining:
            self._response.close()
        self._response.release_conn()


def _size(entry: ET.Element) -> int:
    text = entry.findtext(f"{_S3}Size", "")
    return int(text) if text.isdigit() else 0


def _address(url: str) -> str:
    """Scheme, host and port alone: the rest of a signed URL is a credential and belongs in no message."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _without_urls(error: urllib3.exceptions.HTTPError) -> str:
    """What urllib3 says, without the signed URL that it repeats."""
    reason = getattr(error, "reason", None)
    return str(reason) if isinstance(error, urllib3.exceptions.MaxRetryError) and reason else type(error).__name__
