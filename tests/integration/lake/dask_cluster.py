"""A Dask scheduler and its workers, each a process that can be killed."""

import os
import subprocess
import sys
from contextlib import contextmanager

from tests.integration.ports import free_port


@contextmanager
def cluster(folder, workers):
    """A scheduler and worker processes; yields the scheduler's address and the workers."""
    address = f"tcp://127.0.0.1:{free_port()}"
    started = []
    # One thread a worker, Arrow's too: what one does is what one core does.
    single = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name, *arguments):
        with (folder / f"{name}.log").open("wb") as log:
            argv = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
            started.append(subprocess.Popen(argv, stdout=log, stderr=log, cwd=folder, env=single))
        return started[-1]

    def joined():
        text = (folder / "scheduler.log").read_text()
        return text.count("Register worker") >= workers

    try:
        start("scheduler", "scheduler", "--port", address.rpartition(":")[2], "--host", "127.0.0.1", "--no-dashboard")
        plain = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        yield address, [start(f"worker-{number}", "worker", address, *plain) for number in range(workers)], joined
    finally:
        for process in started:
            process.kill()
            process.wait()
