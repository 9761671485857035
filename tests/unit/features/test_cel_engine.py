"""The CEL engine is loaded by who compiles an expression, and by nobody else."""

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("module", ["skerry_edge.sync.process", "skerry_edge.inference.process"])
def test_a_node_without_expressions_does_not_load_it(module):
    code = f"import sys, {module}; sys.exit('cel' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
