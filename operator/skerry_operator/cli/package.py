"""`skerry package`: make a bundle out of an ONNX model."""

import json
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from skerry_api.v1alpha1.fields import Name, SemVer
from skerry_core.bundle.feature_inputs import FeatureBinding
from skerry_core.bundle.folder import read_bundle
from skerry_core.bundle.manifest import Decision, DecisionKind, TensorSpec
from skerry_core.bundle.package import Comparison, Packaged, package_model
from skerry_core.bundle.validation import Arrays, ValidationDataError
from skerry_core.features.definition import OnRejected
from skerry_operator.cli.feature_set_file import read_version
from skerry_operator.cli.training_lineage import read_training

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_SEMVER: TypeAdapter[str] = TypeAdapter(SemVer)


def package(
    model_file: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", exists=True, dir_okay=False, help="The model, in one file.")
    ],
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="Name of the Model that this is a version of.")],
    version: Annotated[str, typer.Option("--version", "-v", help="Semantic version, such as 1.2.0.")],
    output: Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="Folder for the bundle.")],
    decision: Annotated[
        str,
        typer.Option(
            metavar="argmax:OUTPUT|tolerance:OUTPUT:NUMBER",
            help="What counts as the same answer of two models. (default: argmax of the only output of scores)",
        ),
    ] = "",
    baseline: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Bundle of the release that this one is to replace."),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Validation data (.npz): one array an input."),
    ] = None,
    features: Annotated[
        list[str],
        typer.Option(
            metavar="INPUT=FEATURESET.yaml[:NAME,…]",
            help="Fill an input from a feature set, for the entity that a request names; all features unless named.",
        ),
    ] = [],  # noqa: B006 - read by typer alone
    defaults_for: Annotated[
        list[str], typer.Option(metavar="INPUT", help="Take its features' defaults where they would refuse a request.")
    ] = [],  # noqa: B006
    clients_may_give: Annotated[
        list[str], typer.Option(metavar="INPUT", help="Let clients give this input instead of its features.")
    ] = [],  # noqa: B006
    preprocessing_version: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="Semantic version of the code that makes the model's inputs; each prediction's record says it.",
        ),
    ] = "",
    training_round: Annotated[
        str,
        typer.Option(metavar="ID", help="The run of training that the model came of; give it to all models of one."),
    ] = "",
    trained_at: Annotated[str, typer.Option(metavar="TIME", help="When that was, in RFC 3339. (default: now)")] = "",
    training_rows: Annotated[
        list[Path],
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="What it was trained on, as `skerry features build` wrote it; may be given repeatedly.",
        ),
    ] = [],  # noqa: B006
    notes: Annotated[str, typer.Option(help="What changes for who uses the model.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest and its digest as JSON.")] = False,
) -> None:
    """Make a bundle out of an ONNX model.

    With --validation, the bundle also says what inputs and answers look like on validation data, as small sketches:
    sites tell when what they see drifts away from that. With --baseline too, it says how often the two models decide
    differently: that much disagreement is expected of a canary in the field and not held against it.

    With --training-round, it says what the model was trained on (--training-rows), so that a fleet's bad answers can be
    traced to a round of training.
    """
    if baseline is not None and validation is None:
        raise typer.BadParameter("--baseline needs --validation, the data to compare on")
    data = read_arrays(validation) if validation else None
    now = datetime.now(UTC)
    packaged = package_model(
        model_file,
        output,
        model=_checked(_NAME, model, "--model"),
        version=_checked(_SEMVER, version, "--version"),
        created_at=now,
        decision=parse_decision(decision) if decision else None,
        comparison=Comparison(read_bundle(baseline), data) if baseline and data is not None else None,
        validation=data,
        features=read_bindings(features, defaults_for, clients_may_give),
        preprocessing_version=(
            _checked(_SEMVER, preprocessing_version, "--preprocessing-version") if preprocessing_version else None
        ),
        training=read_training(training_round, trained_at, training_rows, now),
        notes=notes,
    )
    if as_json:
        bundle = packaged.bundle
        typer.echo(json.dumps({"digest": bundle.digest, "manifest": json.loads(bundle.manifest_bytes)}))
    else:
        _print(packaged)


def read_bindings(
    features: Sequence[str], defaults_for: Sequence[str], clients_may_give: Sequence[str]
) -> tuple[FeatureBinding, ...]:
    """Read `INPUT=FILE` or `INPUT=FILE:NAME,NAME`, and the inputs with other ways; raises typer.BadParameter."""
    bindings = tuple(_binding(text, defaults_for, clients_may_give) for text in features)
    if unbound := {*defaults_for, *clients_may_give} - {binding.input for binding in bindings}:
        raise typer.BadParameter(f"{', '.join(sorted(unbound))}: --features fills no such input")
    return bindings


def _binding(text: str, defaults_for: Sequence[str], clients_may_give: Sequence[str]) -> FeatureBinding:
    name, equals, rest = text.partition("=")
    file, colon, names = rest.rpartition(":")
    if not colon or Path(rest).is_file():
        file, names = rest, ""
    if not (name and equals and Path(file).is_file()):
        raise typer.BadParameter(f"--features {text!r}: use INPUT=FEATURESET.yaml or INPUT=FEATURESET.yaml:NAME,NAME")
    return FeatureBinding(
        input=name,
        document=read_version(Path(file)),
        features=tuple(filter(None, names.split(","))),
        on_rejected=OnRejected.DEFAULTS if name in defaults_for else OnRejected.ERROR,
        client_may_give=name in clients_may_give,
    )


def parse_decision(text: str) -> Decision:
    """Read `argmax:OUTPUT` or `tolerance:OUTPUT:NUMBER`; output names may hold colons. Raises typer.BadParameter."""
    kind, _, rest = text.partition(":")
    if kind == DecisionKind.ARGMAX and rest:
        return Decision(kind=DecisionKind.ARGMAX, output=rest)
    output, _, number = rest.rpartition(":")
    try:
        tolerance = float(number)
    except ValueError:
        tolerance = -1.0
    if kind != DecisionKind.TOLERANCE or not output or not 0 <= tolerance < float("inf"):
        raise typer.BadParameter(f"{text!r} is no decision: use argmax:OUTPUT or tolerance:OUTPUT:NUMBER")
    return Decision(kind=DecisionKind.TOLERANCE, output=output, tolerance=tolerance)


def read_arrays(path: Path) -> Arrays:
    """Read an .npz file whole, without pickles; raises ValidationDataError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValidationDataError(f"{path} is no .npz file of plain arrays: {error}") from error


def _checked(kind: TypeAdapter[str], text: str, option: str) -> str:
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(f"{option} {text!r}: {error.errors()[0]['msg']}") from None


def _print(packaged: Packaged) -> None:
    bundle, measured = packaged.bundle, packaged.measured
    manifest = bundle.manifest
    table = Table.grid(padding=(0, 2))
    table.add_row("bundle", str(bundle.folder))
    table.add_row("digest", bundle.digest)
    table.add_row("inputs", _described(manifest.inputs))
    table.add_row("outputs", _described(manifest.outputs))
    table.add_row("decision", f"{manifest.decision.kind} of {manifest.decision.output}")
    for bound in manifest.features:
        of = bound.feature_set
        table.add_row(
            "features", f"{bound.input} from {of.namespace}/{of.name} {of.version}: {', '.join(bound.features)}"
        )
    if manifest.preprocessing_version is not None:
        table.add_row("prepared", f"by preprocessing {manifest.preprocessing_version}")
    if manifest.training is not None:
        table.add_row("trained", f"in round {manifest.training.round.id}, {manifest.training.round.at:%Y-%m-%d %H:%M}")
        for data in manifest.training.data:
            table.add_row(
                "", f"on {data.rows} rows of {data.feature_set.name} {data.feature_set.version}: {data.digest}"
            )
    table.add_row("operators", ", ".join(manifest.runtime.operators))
    if manifest.expected_disagreement is not None:
        expected = manifest.expected_disagreement
        table.add_row("disagrees", f"{expected.rate:.2%} of {expected.samples} rows, with the baseline")
    if manifest.drift_baseline is not None:
        size = next(entry.size for entry in manifest.files if entry.path == manifest.drift_baseline)
        table.add_row("drift", f"sketches of the validation data, {size} bytes")
    Console(soft_wrap=True, highlight=False).print(table)
    if measured and measured.not_finite:
        typer.secho(
            f"warning: {measured.not_finite} rows of validation data got no finite answer; in the field, each such "
            "request is answered by the champion, and a few of them roll the release back",
            err=True,
            fg=typer.colors.YELLOW,
        )
    typer.echo(f"next: skerry sign {bundle.folder}", err=True)


def _described(tensors: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in tensors)
