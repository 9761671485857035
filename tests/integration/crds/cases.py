"""Objects that the API server is to take, and to refuse."""

from pathlib import Path
from typing import Any

import yaml

_HERE = Path(__file__).parent
VALID = {one["kind"]: one for one in yaml.safe_load_all((_HERE / "valid.yaml").read_text())}
REFUSALS = yaml.safe_load((_HERE / "refusals.yaml").read_text())
ACCEPTED = yaml.safe_load((_HERE / "accepted.yaml").read_text())


def patched(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396) to a copy."""
    if not isinstance(patch, dict):
        return patch
    base = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            base.pop(name, None)
        else:
            base[name] = patched(base.get(name), value)
    return base
