"""A store that would take one commit over another is refused before anything is written."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skerry_core.errors import UserMustActError
from skerry_core.store.errors import StoreUnavailableError
from skerry_core.store.http import GuardedPool
from skerry_core.store.location import S3Access
from skerry_operator.ingest.conditional import check_conditional_put
from skerry_operator.ingest.lake import Lake


class Answering(BaseHTTPRequestHandler):
    """Takes every plain PUT, and answers a conditional one as it's told to."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        conditional = self.headers.get("If-None-Match") == "*"
        self.send_response(self.server.status if conditional else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def check():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def check(status):
        server.status = status
        endpoint = f"http://127.0.0.1:{server.server_port}"
        check_conditional_put(Lake("s3://skerry/in", S3Access(endpoint, "key", "secret")), GuardedPool(retries=0))

    yield check
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("status", [412, 409])
def test_a_store_that_refuses_the_second_write_is_right(check, status):
    check(status)


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 400, 501])
def test_a_store_that_does_anything_else_is_refused(check, status):
    with pytest.raises(UserMustActError, match="conditional writes") as caught:
        check(status)
    assert caught.value.reason == "StoreNotConditional"


@pytest.mark.slow
def test_a_store_that_is_down_is_no_finding(check):
    with pytest.raises(StoreUnavailableError):
        check(503)


def test_a_folder_needs_no_check(tmp_path):
    check_conditional_put(Lake(tmp_path.as_uri()))
    assert list(tmp_path.iterdir()) == []
