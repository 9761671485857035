"""The blob folder on the node's disk: whole blobs by digest, and unfinished downloads beside them."""

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from skerry_core import digest as digests
from skerry_core.durable import fsync_directory, remove_file
from skerry_edge.delivery.gc import Blob
from skerry_edge.delivery.plan import Disk

# A sector that can't be read; a file system's own checksum that doesn't fit.
_SICK = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN})


class BlobFolder:
    """`sha256/<hex>` holds whole blobs, each checked before it got its name; `partial/<hex>` what has been received."""

    def __init__(self, folder: Path) -> None:
        self._whole = folder / "sha256"
        self._partial = folder / "partial"
        self._whole.mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a whole blob is, or will be."""
        return self._whole / digests.hex_of(digest)

    def partial(self, digest: str) -> Path:
        """Where an unfinished download is, or will be."""
        return self._partial / digests.hex_of(digest)

    def survey(self) -> Disk:
        """Look at what is there and how much room is left."""
        volume = os.statvfs(self._whole)
        blobs = (
            Blob(digest, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
            for digest, status in _files(self._whole)
        )
        return Disk(
            blobs=tuple(sorted(blobs, key=lambda blob: blob.digest)),
            partials={digest: status.st_size for digest, status in _files(self._partial)},
            free=volume.f_bavail * volume.f_frsize,
            capacity=volume.f_blocks * volume.f_frsize,
        )

    def admit(self, digest: str) -> bool:
        """Check the received bytes, whole, against their digest; durably give them their name, or discard them.

        The bytes are read back from the file, so whatever a crash left in it is noticed too.
        """
        partial = self.partial(digest)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        if digests.of_file(partial) != digest:
            remove_file(partial)
            return False
        partial.replace(self.path(digest))
        fsync_directory(self._whole)
        return True

    def discard_damaged(self) -> tuple[str, ...]:
        """Read every whole blob and delete those whose bytes have changed, or don't come back; their digests."""
        damaged = tuple(digest for digest, _ in _files(self._whole) if self._is_damaged(digest))
        for digest in damaged:
            self.delete(digest)
        return damaged

    def _is_damaged(self, digest: str) -> bool:
        try:
            return digests.of_file(self.path(digest)) != digest
        except OSError as error:
            # Other errors tell of the node, not of this blob, and one blob keeps none from being looked at.
            return error.errno in _SICK

    def delete(self, digest: str) -> None:
        """Delete a whole blob, if it is there."""
        remove_file(self.path(digest))

    def drop_partial(self, digest: str) -> None:
        """Delete an unfinished download, if it is there."""
        remove_file(self.partial(digest))


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Blobs of a folder by digest; files with other names are none of ours and stay."""
    with os.scandir(folder) as entries:
        for entry in entries:
            digest = f"sha256:{entry.name}"
            try:
                digests.hex_of(digest)
            except ValueError:
                continue
            yield digest, entry.stat()
