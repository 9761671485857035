"""Asking the runtime pods what they serve and what they have seen, on their port 8081; the only module that does."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import urllib3
from pydantic import Field, ValidationError

from skerry_api.v1alpha1.fields import ApiModel
from skerry_api.v1alpha1.siteassignment import ModelReport
from skerry_core.errors import RetryError
from skerry_core.evidence.wire import ModelEvidence, NodeEvidence
from skerry_operator.site.names import EVIDENCE_PORT

_SECONDS = urllib3.Timeout(connect=1.0, read=2.0)
# For both pages of a pod. A pod that sends now and then a byte keeps to the time-outs above for ever.
_EACH_SECONDS = 6.0
_MAX_BYTES = 4 << 20
_AT_ONCE = 4


class RuntimeStatus(ApiModel):
    """A pod's `/status`, as far as the site needs it."""

    models: tuple[ModelReport, ...] = Field(max_length=64)


@dataclass(frozen=True)
class Scrape:
    """One pod's answers of one moment."""

    reports: tuple[ModelReport, ...]
    evidence: tuple[ModelEvidence, ...]


class Scraper:
    """Asks all pods, a few at once, in bounded time whatever they answer."""

    def __init__(self, port: int = EVIDENCE_PORT) -> None:
        self._port = port
        # Fresh connections: a pod's address may belong to another pod the next time.
        self._http = urllib3.PoolManager(num_pools=_AT_ONCE, retries=False, headers={"Connection": "close"})
        self._workers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scrape")
        self._asking: dict[str, Future[Scrape | None]] = {}

    def scrape_all(self, addresses: frozenset[str]) -> dict[str, Scrape]:
        """Ask every address; those that gave no usable answer in time are left out.

        One that hasn't ended an earlier answer isn't asked again before, so that it holds one worker at most.
        """
        asked = {
            address: self._workers.submit(self._try, address) for address in sorted(addresses - self._asking.keys())
        }
        done, late = wait(asked.values(), _EACH_SECONDS * -(-len(addresses) // _AT_ONCE))
        for future in late:
            future.cancel()
        self._asking = {address: each for address, each in (self._asking | asked).items() if not each.done()}
        answers = ((address, future.result()) for address, future in asked.items() if future in done)
        return {address: answer for address, answer in answers if answer is not None}

    def scrape(self, address: str) -> Scrape:
        """Ask one pod; RetryError `NodeNotScraped` if it doesn't answer, or not in our terms."""
        try:
            status = RuntimeStatus.model_validate_json(self._read(address, "status"))
            evidence = NodeEvidence.model_validate_json(self._read(address, "evidence"))
        except (urllib3.exceptions.HTTPError, ValidationError) as error:
            raise RetryError("NodeNotScraped", f"{address}: {error}") from error
        return Scrape(status.models, evidence.models)

    def _try(self, address: str) -> Scrape | None:
        try:
            return self.scrape(address)
        except RetryError:
            return None

    def _read(self, address: str, page: str) -> bytes:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}/{page}"
        with self._http.request("GET", url, timeout=_SECONDS, preload_content=False, redirect=False) as response:
            data = response.read(_MAX_BYTES + 1)
        if response.status != 200 or len(data) > _MAX_BYTES:  # noqa: PLR2004
            raise urllib3.exceptions.HTTPError(f"{page}: HTTP {response.status}, {len(data)} bytes")
        return data
