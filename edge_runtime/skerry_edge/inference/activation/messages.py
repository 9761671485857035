"""What happens to a model (events), and what the shell is to do about it (commands)."""

from dataclasses import dataclass
from datetime import datetime

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_core.assignment.document import ModelAssignment, ReleaseRef
from skerry_core.verdict.port import Verdict
from skerry_edge.inference.activation.state import BadRelease, Kept, LoadFailure

# Events


@dataclass(frozen=True)
class Started:
    """The process has begun and the state is what was kept on disk."""


@dataclass(frozen=True)
class Assigned:
    """A verified assignment names the model; `barred` are digests that may not run, wherever that was decided."""

    model: ModelAssignment
    barred: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Barred:
    """No assignment names the model any more; `digests` may not run for other reasons than an assignment's word."""

    digests: frozenset[str]


@dataclass(frozen=True)
class Loaded:
    """The verified bytes of a release are a warm session now."""

    digest: str


@dataclass(frozen=True)
class LoadFailed:
    digest: str
    failure: LoadFailure


@dataclass(frozen=True)
class InputsChanged:
    """Something that loading depends on is different: failed loads deserve another try.

    What was refused for a cause in itself does only if assignment or policy are different (`told_anew`).
    """

    told_anew: bool


@dataclass(frozen=True)
class VerdictReached:
    """The judge has spoken about the running canary of `digest`."""

    digest: str
    verdict: Verdict


@dataclass(frozen=True)
class GuardrailsTripped:
    """The challenger `digest` tripped too many guardrails; requests already go to the champion alone."""

    digest: str
    metric: FailedMetric


@dataclass(frozen=True)
class CrashFound:
    """The last process died while `release` was being loaded or tried; `power_cut`: with the whole machine."""

    release: ReleaseRef
    power_cut: bool


@dataclass(frozen=True)
class Removed:
    """A verified assignment removes the model."""


Event = (
    Started
    | Assigned
    | Barred
    | Loaded
    | LoadFailed
    | InputsChanged
    | VerdictReached
    | GuardrailsTripped
    | CrashFound
    | Removed
)


@dataclass(frozen=True)
class Stamped:
    """An event and when it happened."""

    event: Event
    at: datetime


# Commands


@dataclass(frozen=True)
class EndCanary:
    """Send every request to the champion alone."""


@dataclass(frozen=True)
class Serve:
    """Let a resident release answer requests, in place of the one that does; a reference swap."""

    release: ReleaseRef


@dataclass(frozen=True)
class Quarantine:
    """Durably note a digest that is never tried again."""

    entry: BadRelease


@dataclass(frozen=True)
class MarkIntent:
    """Durably note that an unproven release is about to be loaded."""

    release: ReleaseRef


@dataclass(frozen=True)
class Persist:
    kept: Kept


@dataclass(frozen=True)
class ClearIntent:
    """Remove the note: the release has proven itself, or is out."""

    digest: str


@dataclass(frozen=True)
class StartCanary:
    """Let a resident challenger take its share of requests."""

    challenger: ReleaseRef


@dataclass(frozen=True)
class Unload:
    digest: str


@dataclass(frozen=True)
class Load:
    """Verify and load a release; the answer is Loaded or LoadFailed."""

    release: ReleaseRef


@dataclass(frozen=True)
class Forget:
    """Stop serving the model and remove what was kept of it, but for its quarantine."""


Command = EndCanary | Serve | Quarantine | MarkIntent | Persist | ClearIntent | StartCanary | Unload | Load | Forget


def digest_of(command: Command) -> str:
    """The release that a command is about; empty if it is about none."""
    match command:
        case Serve(release) | MarkIntent(release) | StartCanary(release) | Load(release):
            return release.digest
        case Unload(digest) | ClearIntent(digest):
            return digest
        case Quarantine(entry):
            return entry.digest
        case _:
            return ""
