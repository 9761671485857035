"""What lies below `sites/`: batches by stream, and the requests to send something again."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from skerry_api.v1alpha1.fields import NAME_PATTERN
from skerry_core.batch.key import parse_key, parse_resend_key, resend_key
from skerry_core.store.port import ObjectInfo
from skerry_operator.ingest.gaps import Gap
from skerry_operator.ingest.ledger import Span
from skerry_operator.ingest.plan import Listed

SITES = "sites/"
# Where batches go that can't be read, under their old keys, each with its reason beside it.
DAMAGED = "damaged/"
_SITE = re.compile(r"sites/([^/]+)/(.+)")
_NAME = re.compile(NAME_PATTERN)
_MAX_NAME = 63


@dataclass(frozen=True)
class Listing:
    """A reading of the store; `strangers` are keys that name neither."""

    batches: dict[str, list[Listed]]
    requests: dict[str, list[Gap]]
    strangers: int


def read_listing(objects: Iterable[ObjectInfo]) -> Listing:
    """Sort keys by what they say."""
    batches: dict[str, list[Listed]] = {}
    requests: dict[str, list[Gap]] = {}
    strangers = 0
    for info in objects:
        match = _SITE.fullmatch(info.key)
        site, rest = match.groups() if match else ("", "")
        batch, request = parse_key(site, rest), parse_resend_key(site, rest)
        if batch and _are_names(site, batch.log.stream):
            span = Span(batch.after, batch.last) if batch.after < batch.last else None
            listed = Listed(info.key, batch.log, span, info.size)
            batches.setdefault(batch.log.stream, []).append(listed)
        elif request and request.first > 0 and _are_names(site, request.log.stream):
            gap = Gap(request.log, Span(request.first - 1, request.last))
            requests.setdefault(request.log.stream, []).append(gap)
        else:
            strangers += 1
    return Listing(batches, requests, strangers)


def _are_names(*texts: str) -> bool:
    """Whether a site and a stream may be called so: streams become tables, and names in SQL."""
    return all(len(text) <= _MAX_NAME and _NAME.fullmatch(text) for text in texts)


def request_key(gap: Gap) -> str:
    """Key of the empty object that asks a site for a gap."""
    return f"{SITES}{gap.log.site}/{resend_key(gap.log, gap.span.after + 1, gap.span.last)}"
