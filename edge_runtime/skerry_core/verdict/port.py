"""The verdict port: evidence in, judgement out. Pure; every judge passes the same conformance suite."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from skerry_core.assignment.document import AnalysisLimits
from skerry_core.bundle.manifest import ExpectedDisagreement
from skerry_core.evidence.window import Evidence


class Outcome(StrEnum):
    """PASS: promote. FAIL: roll back and quarantine. INCONCLUSIVE: go on collecting."""

    PASS = "pass"  # noqa: S105 - an outcome
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """A judgement, the metric it turned on, and what a person should read."""

    outcome: Outcome
    metric: str = ""
    observed: float | None = None
    limit: float | None = None
    message: str = ""


class Judge(Protocol):
    """Judges one challenger."""

    def __call__(
        self,
        evidence: Evidence,
        limits: AnalysisLimits,
        expected: ExpectedDisagreement | None,
        now: datetime,
    ) -> Verdict:
        """Judge the evidence as of `now`; never raises on thin or empty evidence."""
        ...
