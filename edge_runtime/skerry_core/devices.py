"""What the stored form of an event says of the device that sent it: the member `device`, written by ingest alone.

It is what the site's registry said when the event was taken in, so whatever reads the log, on any node and at any time,
sees the same. Producers can't give such a member: attributes of CloudEvents are no objects.
"""

from collections.abc import Iterable

MEMBER = "device"
REVISION = "revision"
"""In the member: twelve hexadecimal digits of the SHA-256 of the device's entry. It is there whenever the member is."""
REVISION_PATH = f"{MEMBER}.{REVISION}"


def reads_device(paths: Iterable[str]) -> bool:
    """Whether one of the paths leads into what is said of devices."""
    return any(path.startswith(f"{MEMBER}.") for path in paths)
