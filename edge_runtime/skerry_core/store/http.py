"""HTTP as stores need it: bounded waiting, no redirects, and no web page taken for an answer."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry, Timeout

from skerry_core.store.errors import StoreAnswersWithPageError, StoreUnavailableError
from skerry_core.store.metered import Meter, MeteredPool

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
_CHUNK = 1 << 16
_RETRIES = 2
_BACKOFF_SECONDS = 0.2
_GATEWAY_TROUBLE = (500, 502, 503, 504)
_BARE = {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}


class GuardedPool(MeteredPool):
    """Connections whose every wait is bounded and whose answers come from the store, not from something before it.

    Reads, and writes of whole objects, are tried three times in all; POSTs once, since urllib3 can't know whether the
    first arrived. A Retry-After is not obeyed: who calls has a schedule of its own. `meter` is told of all their bytes.
    """

    def __init__(self, *, ca_file: Path | None = None, retries: int = _RETRIES, meter: Meter | None = None) -> None:
        super().__init__(
            meter,
            timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=Retry(
                total=retries,
                redirect=0,
                raise_on_redirect=False,
                raise_on_status=False,
                status_forcelist=_GATEWAY_TROUBLE,
                backoff_factor=_BACKOFF_SECONDS,
                respect_retry_after_header=False,
            ),
            maxsize=4,
            ca_certs=None if ca_file is None else str(ca_file),
        )

    def urlopen(self, method: str, url: str, redirect: bool = True, **kwargs: Any) -> BaseHTTPResponse:  # type: ignore[override] # noqa: FBT001, FBT002
        """Open as urllib3 does; raises StoreAnswersWithPageError for a web page in the store's place.

        A page is HTML, a redirect elsewhere, or a success without what every S3 answer of that status carries (an
        ETag, or XML).
        """
        response = super().urlopen(method, url, redirect=redirect, **kwargs)
        page = _page(response)
        if page:
            response.close()
            parts = urlsplit(url)
            raise StoreAnswersWithPageError(f"{parts.scheme}://{parts.netloc}", page)
        return response


def _page(response: BaseHTTPResponse) -> str:
    """Name what the answer is instead of S3's; empty if it looks like S3's."""
    kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if response.status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        return "a captive portal (HTTP status 511)"
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ""  # a gateway's error page: the store is down, nobody has to log in
    if kind in {"text/html", "application/xhtml+xml"}:
        return f"a web page (HTTP status {response.status})"
    if response.status in {301, 302, 303, 307, 308} and not kind.endswith("xml"):
        return f"a redirect (HTTP status {response.status})"
    if response.status in _BARE and "etag" not in response.headers and not kind.endswith("xml"):
        return f"something without an ETag (HTTP status {response.status})"
    return ""


def ranged_body(response: BaseHTTPResponse, start: int, end: int | None) -> Iterator[bytes]:
    """Yield bytes [start, end) of an object from the answer to a request for that range.

    A server or proxy may ignore the range and send the whole object: what was not asked for is dropped.
    Raises StoreUnavailableError when another range was sent or the connection ends early.
    """
    offset = _offset(response, start)
    left = None if end is None else end - start
    skip = start - offset
    try:
        # read1 gives what has arrived: what came before a broken connection isn't lost to who resumes.
        while chunk := response.read1(_CHUNK):
            piece = chunk[skip:]
            skip = max(skip - len(chunk), 0)
            if left is not None:
                piece, left = piece[:left], left - len(piece[:left])
            if piece:
                yield piece
            if left == 0:
                return
    except urllib3.exceptions.HTTPError as error:
        raise StoreUnavailableError(f"the connection to the store broke off: {error}") from error


def _offset(response: BaseHTTPResponse, start: int) -> int:
    """Where in the object the answer's body begins."""
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return 0
    unit, _, span = response.headers.get("content-range", "").partition(" ")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdigit() or int(first) > start:
        raise StoreUnavailableError(f"the store sent range {span!r} when asked from byte {start}")
    return int(first)


def drained(response: BaseHTTPResponse, limit: int) -> bytes:
    """Read at most `limit` bytes of an answer, then let the connection go."""
    try:
        return bytes(response.read(limit, decode_content=True))
    except urllib3.exceptions.HTTPError as error:
        raise StoreUnavailableError(f"the connection to the store broke off: {error}") from error
    finally:
        response.release_conn()
