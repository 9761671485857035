"""Logs of which the store has more than the node: an older state of the disk came back, and numbers would repeat.

`store/log-fence.json` names their epochs, {"<stream>": {"epoch": "<epoch> …"}}. Whoever opens such a log sets it aside
and begins another epoch (`skerry_edge.events.identity`).
"""

import json
from pathlib import Path

from skerry_core.durable import write_file
from skerry_edge.events.identity import read_fence

# Of one stream; each takes a restored disk.
_MOST = 8


def add_to_fence(path: Path, stream: str, epoch: str) -> bool:
    """Durably name one more epoch; false if it is named already. Raises OSError."""
    fenced = {name: epochs.split() for name, epochs in read_fence(path).items()}
    epochs = fenced.setdefault(stream, [])
    if epoch in epochs:
        return False
    fenced[stream] = [*epochs, epoch][-_MOST:]
    write_file(path, json.dumps({name: {"epoch": " ".join(found)} for name, found in fenced.items()}).encode())
    return True
