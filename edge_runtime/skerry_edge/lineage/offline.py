"""Explains a prediction from a node's volume, with no process that serves."""

from pathlib import Path

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS
from skerry_core.lineage.explanation import Explanation
from skerry_core.lineage.record import RecordId
from skerry_edge.events.reader import LogReader
from skerry_edge.inference.config import Config
from skerry_edge.inference.store_folder import StoreFolder
from skerry_edge.lineage.node import NodeLineage, PredictionNotFoundError


def explain_on_volume(root: Path, prediction: str) -> Explanation:
    """Explain a prediction from the volume at `root` (`/var/lib/skerry` on a node); reads only, also while it serves.

    Raises as `NodeLineage.explain` does.
    """
    wanted = RecordId.parse(prediction)
    config = Config(wanted.site, wanted.node, root)
    logs = config.state / "log"
    identity = LogReader(logs / PREDICTIONS).identity
    if identity is None:
        raise PredictionNotFoundError(wanted, f"{root} holds no log of predictions")
    return NodeLineage(identity.site, identity.node, logs, StoreFolder(config.store).blob).explain(prediction)
