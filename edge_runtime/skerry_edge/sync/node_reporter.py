"""Looks at this node every second and writes its RuntimeNode when there is news."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from skerry_api.v1alpha1.runtimenode import RuntimeNodeStatus
from skerry_core.errors import RetryError
from skerry_edge.sync.inference_api import InferenceStatus
from skerry_edge.sync.local_api import Object
from skerry_edge.sync.report import Facts, changed, report

PERIOD = timedelta(seconds=1)
# An inference container that restarts is back within this; only then its silence is news.
SILENCE = timedelta(seconds=15)
# The status last written is written again this often, in case somebody deleted or edited the object. To the API server
# that is no change.
REASSERT = timedelta(seconds=60)

_log = structlog.get_logger()

Ask = Callable[[], InferenceStatus]
# Writes a status and returns the object's generation.
Write = Callable[[Object], int]
# Everything but what inference says, which may be None: the shell's own state, as facts.
Gather = Callable[[InferenceStatus | None], Facts]


class NodeReporter:
    """Holds what was last written, and what inference said last."""

    def __init__(self, ask: Ask, gather: Gather, write: Write) -> None:
        self._ask = ask
        self._gather = gather
        self._write = write
        self._inference: InferenceStatus | None = None
        self._heard_at = datetime.now(UTC)
        self._written: RuntimeNodeStatus | None = None
        self._written_at = datetime.now(UTC)
        self._generation = 1

    def step(self) -> timedelta:
        """Look, and write if there is news. Raises SkerryError if the API server doesn't take it."""
        now = datetime.now(UTC)
        try:
            self._inference = self._ask()
            self._heard_at = now
        except RetryError as error:
            if now - self._heard_at > SILENCE and self._inference is not None:
                _log.warning("inference is silent", reason=error.reason, message=str(error))
                self._inference = None
            elif self._written is None and now - self._heard_at <= SILENCE:
                return PERIOD  # both containers just started: nothing to say yet
        status = report(self._gather(self._inference), self._generation, self._written, now)
        if changed(self._written, status):
            self._generation = self._write(_patch(status))
            self._written, self._written_at = status, now
            _log.info("node status written", ready=status.conditions[0].reason)
        elif self._written is not None and now - self._written_at > REASSERT:
            self._generation = self._write(_patch(self._written))
            self._written_at = now
        return PERIOD


def _patch(status: RuntimeNodeStatus) -> Object:
    """The status as a merge patch: fields that are absent now are null, so that none outlives its time."""
    absent = dict.fromkeys(field.alias or name for name, field in RuntimeNodeStatus.model_fields.items())
    return absent | status.to_wire()
