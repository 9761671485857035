"""What the stored form of an event says of the device that sent it: the member `device`, written by ingest alone.

It is what the site's registry said when the event was taken in, so whatever reads the log, on any node and at any time,
sees the same. Producers can't give such a member: attributes of CloudEvents are no objects.
"""

from collections.abc import Iterable

MEMBER = "device"
REVISION = "revision"
"""In the member: twelve hexadecimal digits of the SHA-256 of the device's entry. It is there whenever the member is."""
AS_OF = "asOf"
"""In the member: the moment as of which the registry is right, if it says so (RFC 3339)."""
REVISION_PATH, AS_OF_PATH = f"{MEMBER}.{REVISION}", f"{MEMBER}.{AS_OF}"
ALONG = (REVISION_PATH, AS_OF_PATH)
"""Whoever reads anything of a device reads these, too."""


def reads_device(paths: Iterable[str]) -> bool:
    """Whether one of the paths leads into what is said of devices."""
    return any(path.startswith(f"{MEMBER}.") for path in paths)
