"""The KubeApi that ships, over a real API server: the suite that the memory one passes, and what only a wire can do."""

import contextlib
import http.server
import threading
from pathlib import Path

import pytest
from kubernetes.client import Configuration
from kubernetes.config import load_kube_config

from skerry_operator.kube import rest
from skerry_operator.kube.errors import InvalidObjectError, UnavailableError
from skerry_operator.kube.resources import EDGE_SITES
from skerry_operator.kube.rest import RestKube
from tests.unit.kube.conformance import KubeConformance, site

CRDS = Path(__file__).parents[3] / "crds"


@pytest.fixture(scope="module")
def api(spare):
    spare.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    spare.kubectl("wait", "--for=condition=Established", "-f", str(CRDS))
    configuration = Configuration()
    load_kube_config(str(spare.kubeconfig), client_configuration=configuration)
    configuration.proxy = None
    return RestKube(configuration)


@pytest.mark.lab
class TestRestKube(KubeConformance):
    @pytest.fixture
    def kube(self, api, spare):
        yield api
        spare.kubectl("delete", "edgesites.skerry.dev", "-l", "suite=conformance")

    def test_what_the_schema_refuses_is_for_a_person(self, kube):
        with pytest.raises(InvalidObjectError, match="siteClassName"):
            kube.create(EDGE_SITES, {**site("kc-h"), "spec": {}})


class LoginPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>please log in</html>")

    def log_message(self, *_):
        pass


def reach(url: str) -> RestKube:
    configuration = Configuration()
    configuration.host = url
    configuration.proxy = None
    return RestKube(configuration)


class WithoutEnd(LoginPage):
    """Answers as long as anybody listens."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" " * 65536)


@contextlib.contextmanager
def served(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_login_page_is_not_an_api_server():
    with served(LoginPage) as url:
        with pytest.raises(UnavailableError, match="proxy") as caught:
            reach(url).get(EDGE_SITES, "site-a")
        assert caught.value.reason == "NotAnApiServer"


@pytest.mark.slow
def test_an_answer_without_end_is_given_up(monkeypatch):
    with served(WithoutEnd) as url:
        with pytest.raises(UnavailableError, match="bytes") as caught:
            reach(url).get(EDGE_SITES, "site-a")
        assert caught.value.reason == "NotAnApiServer"
        monkeypatch.setattr(rest, "_ANSWER_SECONDS", 0.0)
        with pytest.raises(UnavailableError, match="in time") as caught:
            reach(url).list(EDGE_SITES)
        assert caught.value.reason == "ApiUnavailable"


def test_nobody_there_is_a_reason_to_wait():
    with pytest.raises(UnavailableError) as caught:
        reach("http://127.0.0.1:1").get(EDGE_SITES, "site-a")
    assert caught.value.reason == "ApiUnavailable"
