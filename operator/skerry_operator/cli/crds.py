"""`skerry crds`: write the CustomResourceDefinitions, or tell how a folder of them differs."""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import typer

from skerry_api.definition import HEADER, generated_files

_STDOUT = "-"
_CHECKED_FOLDER = Path("crds")


def crds(
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR|-", help="Folder to write to, or - for standard output.")
    ] = _STDOUT,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; show how the folder (crds unless given) differs, exit 1 then."),
    ] = False,
) -> None:
    """Write the CustomResourceDefinitions, one YAML file a kind."""
    files = generated_files()
    if check:
        difference = drift(files, _read(_CHECKED_FOLDER if output == _STDOUT else Path(output), files))
        typer.echo(difference, nl=False)
        raise typer.Exit(1 if difference else 0)
    if output == _STDOUT:
        typer.echo("---\n".join(files.values()), nl=False)
        return
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    typer.echo(f"wrote {len(files)} files to {folder}")


def drift(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Give a unified diff from what was found to what is expected, by file name; empty if they are the same."""
    return "".join(
        line
        for name in sorted({*expected, *found})
        for line in difflib.unified_diff(
            found.get(name, "").splitlines(keepends=True),
            expected.get(name, "").splitlines(keepends=True),
            fromfile=f"found/{name}",
            tofile=f"expected/{name}",
        )
    )


def _read(folder: Path, ours: Collection[str]) -> dict[str, str]:
    """Read the folder's generated files, those of dropped kinds too; other people's YAML beside them is left out."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    return {name: text for name, text in texts.items() if name in ours or text.startswith(HEADER)}
