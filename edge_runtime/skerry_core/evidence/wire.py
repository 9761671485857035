"""Evidence as a node's `/evidence` serves it and the site operator reads it."""

from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, Timestamp
from skerry_core.bundle.manifest import ExpectedDisagreement
from skerry_core.evidence.collect import MAX_WINDOWS
from skerry_core.evidence.window import Evidence, Labelled, Window

Count = Annotated[int, Field(ge=0)]
Buckets = Annotated[dict[int, Count], Field(max_length=4096)]


class WireWindow(ApiModel):
    """One window's sums; `ratios` and `differences` by bucket index of `skerry_core.evidence.histogram`."""

    start: Timestamp
    rows: Count = 0
    disagreements: Count = 0
    requests: Count = 0
    errors: Count = 0
    trips: Count = 0
    ratios: Buckets = {}
    differences: Buckets = {}


class WireLabelled(ApiModel):
    """What labels say of both on the same requests; errors in millionths."""

    rows: Count = 0
    champion_error: Count = 0
    challenger_error: Count = 0


class ModelEvidence(ApiModel):
    """Evidence on one model's challenger; `running` is false once the canary has ended.

    `expected` comes from the challenger's signed manifest, which the site operator does not hold.
    """

    namespace: Name
    model: Name
    champion: Digest
    challenger: Digest
    running: bool
    expected: ExpectedDisagreement | None = None
    windows: Annotated[tuple[WireWindow, ...], Field(max_length=MAX_WINDOWS)] = ()
    labelled: WireLabelled = WireLabelled()

    def evidence(self) -> Evidence:
        """The core's form."""
        return Evidence(
            champion=self.champion,
            challenger=self.challenger,
            windows=tuple(Window(**window.model_dump()) for window in self.windows),
            labelled=Labelled(**self.labelled.model_dump()),
        )


class NodeEvidence(ApiModel):
    """Everything that one node has seen of its canaries."""

    site: Name
    node: Annotated[str, Field(min_length=1, max_length=253)]
    models: Annotated[tuple[ModelEvidence, ...], Field(max_length=64)] = ()


def to_wire(evidence: Evidence) -> tuple[WireWindow, ...]:
    """The windows of some evidence, ready for a ModelEvidence."""
    return tuple(WireWindow.model_validate(vars(window)) for window in evidence.windows)
