"""A process that looks through the store named by its environment a few times, and ends: what tests kill on its way."""

import os
import sys
from datetime import UTC, datetime

from skerry_operator.ingest.config import IngestConfig
from skerry_operator.ingest.ingester import Ingester
from skerry_operator.ingest.metrics import Metrics
from skerry_operator.ingest.workers import ThisProcess

config = IngestConfig.from_environment(os.environ)
ingester = Ingester(config.lake, config, ThisProcess(), Metrics(), lambda: datetime.now(UTC))
sys.exit(0 if all([ingester.run_once(), ingester.run_once()]) else 1)
