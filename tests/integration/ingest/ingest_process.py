"""Ingest in a process of its own, which can be told to die right before it acknowledges its n-th message.

python -m tests.integration.ingest.ingest_process ROOT POLICY BROKER [N]
"""

import os
import signal
import sys
import threading
from pathlib import Path

from skerry_core.durable import write_file
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.ingest.mqtt.session import Session
from tests.integration.ingest.running import RunningIngest


def die_at(count: int) -> None:
    acknowledge, seen = Session.acknowledge, [0]

    def counting(session, message):
        seen[0] += 1
        if seen[0] >= count:
            os.kill(os.getpid(), signal.SIGKILL)
        acknowledge(session, message)

    Session.acknowledge = counting


def main() -> None:
    root, policy, broker, *count = sys.argv[1:]
    if count:
        die_at(int(count[0]))
    document = SyncPolicyDocument.model_validate_json(Path(policy).read_bytes())
    ingest = RunningIngest(Path(root), document, Path(broker))
    write_file(ingest.root / "port", str(ingest.port).encode())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.wait(0.05):
        pass
    ingest.close()


if __name__ == "__main__":
    main()
