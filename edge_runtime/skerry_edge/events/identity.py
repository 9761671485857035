"""The log's epoch: a random id that lives as long as the node's disk does."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from skerry_core.durable import write_file

# More records than a node could write in the 50 ms (and one slow fsync) that a power cut may lose.
POWER_CUT_SKIP = 1 << 20


@dataclass(frozen=True)
class LogIdentity:
    """`rebooted`: the machine went down since the log was last opened, so its unsynced tail may be gone."""

    epoch: str
    rebooted: bool


def load_identity(path: Path, boot_id: str, *, emptied: bool = False) -> LogIdentity:
    """Read node.json, or durably make a new epoch if it is missing or no longer readable, or the log `emptied`.

    Numbers start over where no segment tells of the last one, so they must not start over in the same epoch. A reboot
    is noted by `note_boot`, not here. Raises OSError if a new epoch can't be written.
    """
    try:
        noted = json.loads(path.read_bytes())
        epoch, last_boot = str(noted["logEpoch"]), str(noted.get("bootId", boot_id))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        emptied = True
    if emptied:
        epoch, last_boot = secrets.token_hex(8), boot_id
        note_boot(path, epoch, boot_id)
    return LogIdentity(epoch, rebooted=last_boot != boot_id)


def note_boot(path: Path, epoch: str, boot_id: str) -> None:
    """Durably note in node.json that the log has been opened in this boot. Raises OSError."""
    write_file(path, json.dumps({"logEpoch": epoch, "bootId": boot_id}).encode())
