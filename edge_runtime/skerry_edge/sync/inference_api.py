"""What the inference process next door says of itself. The only module that talks to it."""

from dataclasses import dataclass, field

import urllib3
from pydantic import ValidationError
from urllib3.exceptions import HTTPError

from skerry_api.v1alpha1.fields import ApiModel, Digest
from skerry_api.v1alpha1.siteassignment import ModelReport, Serial
from skerry_core.errors import RetryError

_SECONDS = 2.0
_MAX_BYTES = 1 << 20
_DAMAGED = "DigestMismatch"


class Refusal(ApiModel):
    """Why inference doesn't act on what is in its store folder."""

    reason: str
    message: str = ""


class InferenceStatus(ApiModel):
    """Every model as this node fares with it, the releases in memory, and the assignment that inference acts on."""

    models: tuple[ModelReport, ...]
    observed_serial: Serial | None = None
    refusal: Refusal | None = None
    resident: tuple[Digest, ...] = ()

    @property
    def finds_damage(self) -> bool:
        """Whether inference has read a blob whose bytes are not those of its digest."""
        reasons = {model.reason for model in self.models}
        return _DAMAGED in reasons or (self.refusal is not None and self.refusal.reason == _DAMAGED)


@dataclass(frozen=True)
class InferenceApi:
    """Asks over loopback, never waiting longer than two seconds."""

    url: str
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=1, retries=False))

    def status(self) -> InferenceStatus:
        """Read the status; RetryError InferenceUnreachable while there is none."""
        try:
            return InferenceStatus.model_validate_json(self._read(self.url))
        except ValidationError as error:
            raise RetryError("InferenceUnreachable", f"inference answers with no status: {error}") from error

    def metrics(self) -> str:
        """Read its metrics in Prometheus' text format, whole; RetryError InferenceUnreachable while there are none."""
        data = self._read(f"{self.url.removesuffix('/status')}/metrics")
        if len(data) >= _MAX_BYTES:
            raise RetryError("InferenceUnreachable", f"inference's metrics are longer than {_MAX_BYTES} bytes")
        return data.decode("utf-8", errors="replace")

    def _read(self, url: str) -> bytes:
        try:
            response = self._pool.request("GET", url, timeout=_SECONDS, preload_content=False)
            try:
                data: bytes = response.read(_MAX_BYTES)
            finally:
                response.release_conn()
        except HTTPError as error:
            raise RetryError("InferenceUnreachable", f"inference doesn't answer: {type(error).__name__}") from error
        return data
