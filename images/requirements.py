"""Prints what one extra of this distribution needs, from pyproject.toml in the current folder, one a line."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for requirement in (*project["dependencies"], *project["optional-dependencies"][sys.argv[1]]):
    sys.stdout.write(f"{requirement}\n")
