"""The example of Dask's operator beside the hub's chart: three workers share ingest's work, one is killed over it."""

import os
import signal
from pathlib import Path

import pytest
import yaml

from skerry_core.store.location import S3Access
from skerry_operator.ingest.lake import Lake
from tests.cluster.lab.images import ImageBuilder, product_images
from tests.cluster.lab.waiting import wait_for
from tests.integration.charts.conftest import SYSTEM, hub_chart
from tests.integration.charts.dask_operator import DaskOperator
from tests.integration.charts.rendering import CHARTS
from tests.integration.lake.feed import Feed, has_all

pytestmark = [pytest.mark.lab, pytest.mark.long]

EXAMPLE = CHARTS.parent / "examples" / "ingest" / "daskcluster.yaml"
BUCKET = "dask-operator"
NAMESPACE = f"--namespace={SYSTEM}"
INGEST, SCHEDULER = "skerry-ingest", "skerry-ingest-scheduler"
SECONDS = 180.0  # for anything, on a busy machine


@pytest.fixture(scope="module")
def lake(lab):
    if not lab.hands:
        pytest.skip("needs the lab's hands: it stops a process in a pod")
    (lab.store.root / BUCKET).mkdir(exist_ok=True)
    return Lake(f"s3://{BUCKET}", S3Access(lab.store.endpoint, lab.store.access_key, lab.store.secret_key))


@pytest.fixture(scope="module")
def hub(lab, lake, spare, images, trust):
    """A cluster with the hub's chart and its ingest, which works alone so far."""
    for archive in product_images(ImageBuilder(lab.layout.cache), CHARTS.parent, ("ingest",)).values():
        spare.import_images(archive)
    with hub_chart(lab, spare, trust, f"s3://{BUCKET}", "--set=ingest.enabled=true", "--set=ingest.pollInterval=1s"):
        yield spare


@pytest.fixture(scope="module")
def dask(lab, hub, tmp_path_factory):
    """The example's three workers; gives the scheduler's address."""
    address = f"{hub.spec.service_prefix}.86"
    manifest = yaml.safe_dump_all(example(address))
    hosts = {"localhost": "127.0.0.1", f"{SCHEDULER}.{SYSTEM}": address}
    with DaskOperator(hub, lab.layout.cache, tmp_path_factory.mktemp("dask"), hosts) as operator:
        hub.kubectl("apply", "-f", "-", input=manifest)
        try:
            wait_for("three workers", lambda: joined(hub) == 3, seconds=SECONDS, log=operator.log, gone=operator.gone)
            yield f"tcp://{address}:8786"
        finally:
            hub.kubectl("delete", "-f", "-", "--timeout=60s", input=manifest)


def example(address):
    """The example, but for the scheduler's name: the lab has no DNS."""
    cluster, *policies = yaml.safe_load_all(EXAMPLE.read_text())
    name = f"{SCHEDULER}.{SYSTEM}.svc.cluster.local"
    cluster["spec"]["scheduler"]["service"]["clusterIP"] = address
    cluster["spec"]["worker"]["spec"]["hostAliases"] = [{"ip": address, "hostnames": [name]}]
    return [cluster, *policies]


def joined(hub):
    """How many workers the scheduler has had."""
    log = hub.kubectl("logs", f"deployment/{SCHEDULER}", NAMESPACE, check=False).stdout
    return log.count("Register worker addr")


def pods(hub, *labels):
    selector = f"--selector={','.join(labels)}"
    return hub.kubectl("get", "pods", selector, NAMESPACE, "-o", "jsonpath={.items[*].metadata.name}").stdout.split()


def process_of(hub, pod):
    """The worker's process, as this machine numbers it."""
    marks = {b"HOSTNAME=" + pod.encode(), b"OMP_NUM_THREADS=1"}

    def marked(pid):
        try:
            return marks <= set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
        except OSError:  # it ended meanwhile
            return False

    (found,) = filter(marked, hub.pids())
    return found


def test_a_killed_workers_share_is_done_by_the_others(hub, lake, dask):
    feed = Feed(lake, events=1200)

    def upload(start, end):
        for log in feed.logs:
            for after in range(start, end, 200):
                log.upload(lake.store, after, min(after + 200, end))

    def written():
        return sum(1 for _ in lake.store.list("tables/predictions/day="))

    def rows():
        table = lake.read("predictions")
        return 0 if table is None else table.num_rows

    # The table and its columns, so that what follows is one round of work.
    upload(0, 200)
    first = sum(1 for log in feed.logs for seq in range(1, 201) if seq not in log.absent)
    wait_for("ingest works alone", lambda: rows() == first, seconds=SECONDS, every=0.5)
    hub.kubectl("scale", f"deployment/{INGEST}", NAMESPACE, "--replicas=0")
    wait_for("ingest is gone", lambda: not pods(hub, f"app.kubernetes.io/name={INGEST}"), seconds=60, every=0.5)
    before = written()

    # It takes its share like the others, and comes to nothing.
    victim, *_ = pods(hub, "dask.org/component=worker")
    os.kill(process_of(hub, victim), signal.SIGSTOP)
    upload(200, feed.events)
    chart = str(CHARTS / "skerry-hub")
    hub.helm("upgrade", "skerry-hub", chart, NAMESPACE, "--reuse-values", f"--set=ingest.daskScheduler={dask}")
    wait_for("the other two are done", lambda: written() == before + 2, seconds=SECONDS, every=0.5)
    assert not has_all(feed)
    hub.kubectl("delete", "pod", victim, NAMESPACE, "--force", "--grace-period=0")
    wait_for("everything is ingested", lambda: has_all(feed), seconds=SECONDS, every=0.5)
    assert written() == before + 3

    # Another one takes its place.
    wait_for("a new worker", lambda: joined(hub) == 4, seconds=SECONDS, every=0.5)
    upload(feed.events, feed.events + 10)
    feed.events += 10
    wait_for("the rest is ingested", lambda: has_all(feed), seconds=SECONDS, every=0.5)
    feed.check()


def test_workers_are_as_many_as_are_asked_for(hub, dask):
    for count in (4, 2):
        hub.kubectl("scale", "daskcluster", INGEST, NAMESPACE, f"--replicas={count}")
        wait_for(
            f"{count} workers",
            lambda count=count: len(pods(hub, "dask.org/component=worker")) == count,
            seconds=SECONDS,
            every=0.5,
        )
