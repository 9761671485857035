"""The ingester killed at every single write that it makes, before it and after it: what is left is whole, and once."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.lake.conftest import folder_place, s3_place
from tests.integration.lake.feed import Feed

ONE_PASS = Path(__file__).parent / "one_pass.py"
# The calls that make a file seen under its name; whatever is written before them, nobody reads.
PUBLISHING = "link,linkat,rename,renameat,renameat2,unlink,unlinkat"
_SAFETY = 200


def fill(lake, part):
    """Upload one half of a small feed; the second half brings a gap to fill, absences and a column."""
    feed = Feed(lake, events=30, seed=3)
    for log in feed.logs:
        if part == 1:
            log.upload(lake.store, 0, 10)
            log.upload(lake.store, 20, 30)
        else:
            log.upload(lake.store, 8, 20)
    return feed


def environment(place):
    return {**os.environ, **place.environment, "SKERRY_ASK_AFTER": "1ms"}


def one_pass(place):
    """Look through a store in a process of its own; its exit code."""
    return subprocess.run([sys.executable, ONE_PASS], env=environment(place), check=False).returncode


def killed_in_folder(root, *injection):
    """Run one pass under strace with a fault injected, then one without, and check; False if nothing was killed."""
    place = folder_place(root)
    fill(place.lake, 1)
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", *injection, sys.executable, str(ONE_PASS)]
    killed = subprocess.run(argv, env=environment(place), capture_output=True, check=False).returncode != 0
    feed = fill(place.lake, 2)
    assert one_pass(place) == 0
    feed.check()
    return killed


@pytest.mark.long
@pytest.mark.usefixtures("strace")
def test_killed_at_every_name_that_it_gives_or_takes_in_a_folder(tmp_path):
    """strace counts calls by thread, so this kills at the n-th call of whichever thread comes to it first."""
    for when in range(1, _SAFETY):
        kill = f"inject={PUBLISHING}:signal=SIGKILL:when={when}"
        if not killed_in_folder(tmp_path / f"store-{when}", "-e", f"trace={PUBLISHING}", "-e", kill):
            assert when > 5
            return
    pytest.fail("the process never came to its end")


@pytest.mark.long
@pytest.mark.usefixtures("strace")
def test_killed_at_every_commit_in_a_folder(tmp_path):
    place = folder_place(tmp_path / "unharmed")
    fill(place.lake, 1)
    assert one_pass(place) == 0
    commits = [info.key for info in place.lake.store.list("tables/") if info.key.endswith(".json")]
    assert len(commits) > 6
    for number, commit in enumerate(commits):
        root = tmp_path / f"store-{number}"
        assert killed_in_folder(root, "-P", str(root / commit), "-e", f"inject={PUBLISHING}:signal=SIGKILL")


class Killing(ThreadingHTTPServer):
    """A proxy before the store that kills a process at its n-th write, before it is passed on or before its answer."""

    def __init__(self, target: str, when: int, *, after: bool) -> None:
        self.target, self.when, self.after = urlsplit(target).netloc, when, after
        self.victim: subprocess.Popen | None = None
        self.writes = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Passing)

    def kills(self) -> bool:
        with self.lock:
            self.writes += 1
            return self.writes == self.when


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Killing

    def pass_on(self) -> None:
        kills = self.command not in {"GET", "HEAD"} and self.server.kills()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if kills and not self.server.after:
            self.end()
            return
        with closing(http.client.HTTPConnection(self.server.target)) as store:
            answer, data = self.passed_on(store, body)
        if kills:
            self.end()
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def passed_on(self, store, body):
        store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            store.putheader(name, value)
        store.endheaders(body)
        answer = store.getresponse()
        return answer, answer.read()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

    def end(self) -> None:
        self.server.victim.send_signal(signal.SIGKILL)
        self.server.victim.wait()
        self.close_connection = True

    def log_message(self, *_) -> None:
        pass


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_write_to_a_store(s3_server, tmp_path, after):
    for when in range(1, _SAFETY):
        name = f"killed-{'after' if after else 'before'}-{when}"
        s3_server.make_bucket(name)
        proxy = Killing(s3_server.endpoint, when, after=after)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        straight = s3_place(s3_server, name, tmp_path / f"straight-{when}")
        killing = s3_place(s3_server, name, tmp_path / f"killing-{when}", f"http://127.0.0.1:{proxy.server_port}")
        fill(straight.lake, 1)
        proxy.victim = subprocess.Popen(
            [sys.executable, ONE_PASS], env=environment(killing), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        proxy.victim.communicate()
        proxy.shutdown()
        proxy.server_close()
        feed = fill(straight.lake, 2)
        assert one_pass(straight) == 0
        feed.check()
        if proxy.victim.returncode == 0:
            assert when > 10
            return
    pytest.fail("the process never came to its end")
