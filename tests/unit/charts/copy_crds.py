"""Copies the generated CRDs into the charts: Helm reads nothing outside of a chart's folder, symlinks least of all."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
CHARTS = {
    "skerry-hub": (
        "edgesites",
        "featuresets",
        "modelreleases",
        "models",
        "quarantines",
        "rolloutrings",
        "siteassignments",
        "siteclasses",
        "syncpolicies",
        "trustpolicies",
    ),
    "skerry-site": ("runtimenodes", "siteassignments"),
}


def wanted(root: Path = ROOT) -> dict[Path, bytes]:
    """Every copy that the charts should hold, by path."""
    return {
        root / "charts" / chart / "files" / "crds" / f"{plural}.yaml": (root / "crds" / f"{plural}.yaml").read_bytes()
        for chart, plurals in CHARTS.items()
        for plural in plurals
    }


def main() -> None:
    """Write the copies and remove what is no longer one."""
    copies = wanted()
    for folder in {path.parent for path in copies}:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in set(folder.glob("*.yaml")) - copies.keys():
            stale.unlink()
    for path, content in copies.items():
        path.write_bytes(content)


if __name__ == "__main__":
    main()
