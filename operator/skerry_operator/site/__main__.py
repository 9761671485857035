"""The site operator's process: kopf in the main thread, the link and the observer in threads of their own."""

import logging
import os
import sys
import threading

import kopf
import structlog
from prometheus_client import CollectorRegistry, start_http_server

from skerry_api.kinds import RUNTIME_NAMESPACE
from skerry_core.errors import SkerryError
from skerry_core.verdict.thresholds import judge
from skerry_operator import log_lines
from skerry_operator.kube import connect
from skerry_operator.link.credential import CredentialSecret
from skerry_operator.link.health import LinkHealth
from skerry_operator.link.local import LocalMirror
from skerry_operator.link.loop import LinkLoop
from skerry_operator.link.outbox import Outbox
from skerry_operator.link.session import Dialer, HubAddress, HubSession
from skerry_operator.link.traffic import LinkTraffic
from skerry_operator.site import handlers
from skerry_operator.site.observer import Observer
from skerry_operator.site.runtime import Runtime
from skerry_operator.site.scrape import Scraper
from skerry_operator.site.settings import Settings
from skerry_operator.site.version import VERSION

_log = structlog.get_logger()
LIVENESS = "http://0.0.0.0:8080/healthz"
METRICS_PORT = 8081


def run(settings: Settings) -> None:
    """Run the site operator until it is told to stop."""
    hub_key = settings.hub_key()
    kube = connect.local()
    stop = threading.Event()
    outbox, health = Outbox(), LinkHealth()
    metrics = CollectorRegistry()
    runtime = Runtime(kube, site=settings.site, hub_key=hub_key, allowed_images=settings.allowed_images)
    session = HubSession(
        settings.site,
        CredentialSecret(kube, settings.namespace),
        Dialer(
            HubAddress(settings.hub_url, settings.hub_ca, settings.bootstrap_token, settings.scratch),
            LinkTraffic(metrics),
        ),
    )
    link = LinkLoop(session, LocalMirror(kube), outbox, health, site=settings.site, hub_key=hub_key, stop=stop)
    observer = Observer(kube, runtime, Scraper(), outbox, health, site=settings.site, version=VERSION, judge=judge)
    start_http_server(METRICS_PORT, registry=metrics)
    link.start()
    threading.Thread(target=observer.run, args=(stop,), name="observer", daemon=True).start()
    registry, operator = kopf.OperatorRegistry(), kopf.OperatorSettings()
    handlers.configure(operator)
    handlers.register(registry, observer.wake)
    try:
        kopf.run(
            registry=registry,
            settings=operator,
            namespaces=[RUNTIME_NAMESPACE],
            standalone=True,
            liveness_endpoint=LIVENESS,
        )
    finally:
        stop.set()


def main() -> int:
    """Start from the environment; 1 and a plain sentence if it isn't complete."""
    log_lines.configure()
    kopf.configure()
    # It says of every event that the handler succeeded.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    try:
        run(Settings.from_environment(os.environ))
    except SkerryError as error:
        _log.error("the site operator can't start", reason=error.reason, message=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
