"""The site operator is a guest on small machines: 120 MiB for its container, link included."""

import re
import subprocess
import sys

import pytest

IMPORT = "import skerry_operator.site.__main__; print(open('/proc/self/status').read())"
UNWANTED = (
    "import sys, skerry_operator.site.__main__; print([m for m in ('numpy', 'sigstore', 'minio') if m in sys.modules])"
)


def _run(program):
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_process_starts_well_below_its_budget():
    resident = int(re.search(r"VmRSS:\s+(\d+) kB", _run(IMPORT)).group(1))
    assert resident < 95 * 1024


@pytest.mark.slow
def test_what_only_others_need_is_not_imported():
    assert _run(UNWANTED).strip() == "[]"
