"""`python -m tests.sigstore_instance --state DIR --port N`: serve until a signal comes."""

import argparse
import signal
from pathlib import Path

from tests.sigstore_instance.instance import PrivateSigstore


def main() -> None:
    parser = argparse.ArgumentParser(prog="sigstore_instance", description="Serve a private Sigstore test instance.")
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps its keys and its log")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    arguments = parser.parse_args()
    # Blocked before any thread starts, so that sigwait is the one who gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with PrivateSigstore.start(arguments.state, port=arguments.port) as sigstore:
        print(f"private Sigstore test instance at {sigstore.base_url}, issuer {sigstore.issuer}", flush=True)  # noqa: T201
        print(f"sign with {arguments.state / 'trust_config.json'}", flush=True)  # noqa: T201
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
