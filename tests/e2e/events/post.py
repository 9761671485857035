"""Sends one request from inside a site's network: `python -m tests.e2e.events.post URL CONTENT-TYPE < BODY`.

Prints a JSON object of `status` and `answer`.
"""

import json
import sys

import urllib3


def main(url: str, content_type: str) -> None:
    """Send standard input, and print what came back."""
    pool = urllib3.PoolManager(retries=False)
    answer = pool.request("POST", url, body=sys.stdin.buffer.read(), headers={"content-type": content_type}, timeout=10)
    sys.stdout.write(json.dumps({"status": answer.status, "answer": answer.json()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
