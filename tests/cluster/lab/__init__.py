"""The lab: a hub and sites, each a whole Kubernetes made of K3s' parts, on one machine, with links that can be cut.

    python -m tests.cluster.lab up        # or down, status, images, env; --help tells more

Tests and the demo use it through ``Lab``, ``Cluster`` and ``S3Server``; see their docstrings for the contract.
"""

from .cluster import Cluster
from .errors import DeadlineError, LabError, NotAvailableError, RequirementMissingError
from .lab import Lab
from .labcluster import LabCluster
from .store import S3Server

__all__ = [
    "Cluster",
    "DeadlineError",
    "Lab",
    "LabCluster",
    "LabError",
    "NotAvailableError",
    "RequirementMissingError",
    "S3Server",
]
