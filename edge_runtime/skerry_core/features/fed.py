"""Whether events that a feature set is made of come in at all, where a SyncPolicy holds. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from skerry_core.devices import reads_device
from skerry_core.features.definition import FeatureSetDocument, SourceField
from skerry_core.sync_policy.document import SyncPolicyDocument


class Unfed(StrEnum):
    """Why no event will ever count in a set, until somebody changes the SyncPolicy."""

    STREAM_NOT_DECLARED = "StreamNotDeclared"
    DEVICE_PATH_MISSING = "DevicePathMissing"


@dataclass(frozen=True)
class Source:
    """What of a set decides it; `name` is `namespace/name version`."""

    name: str
    stream: str
    needs_device: bool


def source_of(document: FeatureSetDocument) -> Source:
    """What a version is made of."""
    return Source(
        f"{document.namespace}/{document.name} {document.version}",
        document.stream,
        reads_device(each.path for each in document.entities) or any(map(_needs_device, document.fields)),
    )


def unfed(source: Source, policy: SyncPolicyDocument) -> tuple[Unfed, str] | None:
    """Why no event will count, and what somebody can do; None if events can."""
    stream = policy.stream(source.stream)
    if stream is None:
        return Unfed.STREAM_NOT_DECLARED, (
            f"its stream {source.stream} isn't declared in the site's SyncPolicy, so no event of it is taken in: add "
            f"{source.stream} to spec.streams there"
        )
    if source.needs_device and stream.device_path is None:
        return Unfed.DEVICE_PATH_MISSING, (
            f"it needs to know devices, and its stream {source.stream} has no devicePath in the site's SyncPolicy, so "
            "every event is refused (UnknownDevice): say there where events name their device"
        )
    return None


def _needs_device(field: SourceField) -> bool:
    """Whether an event is refused where nothing is known of its device."""
    if field.required and reads_device([field.path]):
        return True
    told = field.told_unit
    return told is not None and told.required and field.required and all(reads_device([path]) for path in told.paths)
