"""Tells of versions that no event will ever count in, as the SyncPolicy in force stands."""

from collections.abc import Callable, Iterable, Mapping

import structlog

from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.fed import Unfed, source_of, unfed
from skerry_core.sync_policy.document import SyncPolicyDocument

Trouble = tuple[Unfed, str]

_log = structlog.get_logger(__name__)


class Feeding:
    """`of` is for any thread, `look` for one."""

    def __init__(self, policy: Callable[[], SyncPolicyDocument]) -> None:
        """`policy` gives the SyncPolicy in force, to any thread."""
        self._policy = policy
        self._told: Mapping[str, Trouble] = {}

    def of(self, document: FeatureSetDocument) -> Trouble | None:
        """Why no event will count in a version, and what to do; None if events can."""
        return unfed(source_of(document), self._policy())

    def look(self, documents: Iterable[FeatureSetDocument]) -> None:
        """Log what has changed since the last look."""
        found = {source_of(each).name: trouble for each in documents if (trouble := self.of(each)) is not None}
        for name, (reason, message) in found.items():
            if self._told.get(name) != (reason, message):
                _log.warning("no event counts in a feature set", feature_set=name, reason=reason, message=message)
        for name in self._told.keys() - found.keys():
            _log.info("events can count in a feature set again", feature_set=name)
        self._told = found
