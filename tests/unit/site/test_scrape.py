"""Over real loopback HTTP."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skerry_core.errors import RetryError
from skerry_core.evidence.wire import NodeEvidence
from skerry_operator.site import scrape
from skerry_operator.site.scrape import RuntimeStatus, Scraper
from tests.unit.site.nodes import evidence, report

GOOD = {
    "/status": RuntimeStatus(models=(report(),)).model_dump_json(by_alias=True),
    "/evidence": NodeEvidence(site="site-a", node="n", models=(evidence(10, 1),)).model_dump_json(by_alias=True),
}


@pytest.fixture
def pod():
    pages = dict(GOOD)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.pages = pages
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_pods_reports_and_evidence_are_read(pod):
    found = Scraper(pod.server_port).scrape("127.0.0.1")
    assert found.reports == (report(),)
    assert found.evidence[0].evidence().windows == evidence(10, 1).evidence().windows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "content"),
    [
        ("/status", "<html>log in</html>"),
        ("/status", None),
        ("/status", "x" * (5 << 20)),
        ("/evidence", '{"models": 3}'),
    ],
)
def test_anything_else_is_no_answer(pod, page, content):
    pod.pages[page] = content
    with pytest.raises(RetryError) as caught:
        Scraper(pod.server_port).scrape("127.0.0.1")
    assert caught.value.reason == "NodeNotScraped"


@pytest.mark.slow
def test_pods_that_do_not_answer_are_left_out(pod):
    assert set(Scraper(pod.server_port).scrape_all(frozenset({"127.0.0.1", "127.0.0.2"}))) == {"127.0.0.1"}


@pytest.mark.slow
def test_a_pod_that_answers_byte_by_byte_holds_up_neither_the_others_nor_the_next_round(pod, monkeypatch):
    monkeypatch.setattr(scrape, "_EACH_SECONDS", 2.0)
    asked, over = [], threading.Event()

    class Dribble(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            with contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
                while not over.wait(0.05):
                    self.wfile.write(b"x")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.2", pod.server_port), Dribble)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        scraper = Scraper(pod.server_port)
        for _ in range(2):
            assert set(scraper.scrape_all(frozenset({"127.0.0.1", "127.0.0.2"}))) == {"127.0.0.1"}
        assert asked == ["/status"]
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
