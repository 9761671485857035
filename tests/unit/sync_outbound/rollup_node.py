"""A node that rolls streams up, and what it is expected to tell."""

from datetime import timedelta

import numpy as np

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS, ROLLUPS, Consent
from skerry_core.rollups.state import Shape, ValueKind, gather
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.events.settings import LogFailedError
from skerry_edge.sync.outbound.rollups.loop import Destination, RollupLoop
from skerry_edge.sync.positions import Sent
from tests.unit.sync_outbound.columns import data_class, stream
from tests.unit.sync_outbound.nodes import DerivingNode

MINUTE = 60_000_000
NUMBER = Shape(ValueKind.NUMBER)


def state(*numbers, times=None):
    times = [0] * len(numbers) if times is None else times
    return gather(NUMBER, numbers, np.zeros(len(numbers), np.int64), np.array(times, np.int64))[0]


class Node(DerivingNode):
    stream = ROLLUPS

    def __init__(self, root, consent=Consent.NOT_NEEDED, *rules):
        minute = timedelta(minutes=1)
        self.sent = Sent()
        super().__init__(
            root,
            DEFAULT_POLICY.model_copy(
                update={
                    "streams": (
                        stream(data_class="personal", rollup_window=minute, sampling=0.0),
                        stream("plain"),
                        stream(PREDICTIONS, rollup_window=minute),
                    ),
                    "data_classes": (data_class(*rules, consent=consent),),
                }
            ),
        )

    def deriving(self, roots):
        to = Destination(self.log, lambda matches: self.syncs.redact(ROLLUPS, matches), lambda: self.sent)
        return RollupLoop(self.root / "rollups.note", roots, self.outbound, to, self.registry, lambda: self.now)

    def metric(self, outcome, name="readings"):
        return self.registry.get_sample_value("skerry_sync_rollups_total", {"stream": name, "outcome": outcome}) or 0


def failing(*_):
    raise LogFailedError("a bad disk")
