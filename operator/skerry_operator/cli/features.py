"""`skerry features`: feature sets offline, resolved and checked just as the hub does; `build` is in `feature_rows`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.syncpolicy import SyncPolicy
from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.durable import write_file
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.fed import source_of
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_operator.cli.feature_rows import build
from skerry_operator.cli.feature_set_file import read_version, read_versions
from skerry_operator.cli.kind_file import read_kind
from skerry_operator.hub.fed import stream_declared
from skerry_operator.hub.sync_policy.check import publishable as check_policy
from skerry_operator.hub.sync_policy.resolve import document_of, effective_policy

app = typer.Typer(add_completion=False, no_args_is_help=True)

FileArgument = Annotated[
    Path, typer.Argument(metavar="FEATURESET.yaml", exists=True, dir_okay=False, help="A FeatureSet's YAML.")
]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace of a FeatureSet that names none. (default: default)")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def features() -> None:
    """Check feature sets, and build training rows of them."""


@app.command()
def digest(
    file: FileArgument,
    *,
    namespace: Namespace = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write the document that it names.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the digest that names a FeatureSet's version: what releases are signed with and the hub publishes."""
    document = read_version(file, namespace)
    data = canonical_json(document)
    if output is not None:
        write_file(output, data)
    found = digests.of_bytes(data)
    typer.echo(json.dumps(_named(document) | {"digest": found}) if as_json else found)


@app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FEATURESET.yaml...", exists=True, dir_okay=False, help="FeatureSets' YAML.")
    ],
    *,
    namespace: Namespace = "",
    sync_policy: Annotated[
        list[Path] | None,
        typer.Option(
            "--sync-policy", exists=True, dir_okay=False, help="SyncPolicies' YAML: one must declare each set's stream."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what is wrong with FeatureSets; exit code 1 if something is."""
    policies = [policy for file in sync_policy or () for policy in _policies(file)] if sync_policy else None
    results = [result for file in files for result in _check(file, namespace, policies)]
    for result in results:
        typer.echo(json.dumps(result) if as_json else _line(result))
    if any("error" in result for result in results):
        raise typer.Exit(1)


app.command("build")(build)


def _policies(file: Path) -> Iterator[tuple[str, SyncPolicyDocument]]:
    for policy in read_kind(file, SyncPolicy):
        effective = effective_policy(policy.spec)
        check_policy(effective)
        yield policy.metadata.name, document_of(effective)


def _check(
    file: Path, namespace: str, policies: list[tuple[str, SyncPolicyDocument]] | None
) -> Iterator[dict[str, Any]]:
    """One result for each set; without policies nobody asks whether its stream is declared."""
    try:
        for document in read_versions(file, namespace):
            source = source_of(document)
            declared = None if policies is None else stream_declared(source, policies)
            if declared is not None and declared.status is ConditionStatus.FALSE:
                told = {"reason": declared.reason, "error": f"{source.name}: {declared.message}"}
                yield {"file": str(file), **_named(document), **told}
                continue
            found = digests.of_bytes(canonical_json(document))
            yield {"file": str(file), **_named(document), "digest": found, "features": len(document.features)}
    except UserMustActError as error:
        yield {"file": str(file), "reason": error.reason, "error": str(error)}


def _named(document: FeatureSetDocument) -> dict[str, Any]:
    return {"namespace": document.namespace, "name": document.name, "version": document.version}


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{result['file']}: {result['reason']}: {result['error']}"
    return "{file}: {namespace}/{name} {version} is fine: {features} features, {digest}".format(**result)
