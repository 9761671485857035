"""`skerry push`: publish a signed bundle in a store."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from skerry_api.v1alpha1.fields import API_VERSION
from skerry_core.bundle.folder import BundleFolder, read_bundle
from skerry_core.bundle.publish import Progress, storage_uri_of
from skerry_core.bundle.publish import push as publish
from skerry_core.store.location import open_store
from skerry_operator.cli import store as store_options
from skerry_operator.cli.output import write_text

_UNITS = ("B", "KiB", "MiB", "GiB")
_STEP = 1024


def push(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A signed bundle's folder.")],
    *,
    to: Annotated[
        str,
        typer.Option(
            envvar="SKERRY_STORE", metavar="URI", help="The store: s3://BUCKET, s3://BUCKET/PREFIX or file:///FOLDER."
        ),
    ],
    path: Annotated[str, typer.Option(help="Where in it. (default: models/MODEL/VERSION)")] = "",
    endpoint: store_options.Endpoint = "",
    region: store_options.Region = "us-east-1",
    ca_file: store_options.CaFile = None,
    release_yaml: Annotated[
        str, typer.Option(metavar="FILE|-", help="Write the ModelRelease to apply, to a file or standard output.")
    ] = "",
    namespace: Annotated[
        str,
        typer.Option(
            "--namespace", "-n", help="Namespace of that ModelRelease. (default: its feature sets', else default)"
        ),
    ] = "",
) -> None:
    """Publish a signed bundle in a store.

    S3 credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN). What is there already
    isn't sent again, so a push that was cut off can simply be repeated.
    """
    bundle = read_bundle(folder)
    store = open_store(to, store_options.access(to, endpoint, region, ca_file))
    storage_uri = f"{store.uri}/{path.strip('/')}" if path else storage_uri_of(store, bundle.manifest)
    release = release_of(bundle, storage_uri, namespace)
    publish(store, bundle, storage_uri, _report)
    if release_yaml:
        write_text(release_yaml, yaml.safe_dump(release, sort_keys=False))
    if release_yaml != "-":
        typer.echo(storage_uri)


def release_of(bundle: BundleFolder, storage_uri: str, namespace: str) -> dict[str, object]:
    """The ModelRelease that sends this bundle out when it is applied."""
    manifest = bundle.manifest
    sets = manifest.feature_sets()
    home = {each.namespace for each in sets} or {namespace or "default"}
    if namespace and home != {namespace}:
        raise typer.BadParameter(f"its feature sets are in {', '.join(sorted(home))}, so must its ModelRelease be")
    feature_sets = {"featureSets": [{"name": each.name, "version": each.version} for each in sets]} if sets else {}
    preprocessing = (
        {"preprocessingVersion": manifest.preprocessing_version} if manifest.preprocessing_version is not None else {}
    )
    notes = {"notes": manifest.notes} if manifest.notes else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRelease",
        # Semantic versions may have capitals, names of objects may not.
        "metadata": {"name": f"{manifest.model}-{manifest.version}".lower(), "namespace": min(home)},
        "spec": {
            "model": manifest.model,
            "version": manifest.version,
            "storageUri": storage_uri,
            "digest": bundle.digest,
            **feature_sets,
            **preprocessing,
            **notes,
        },
    }


def _report(step: Progress) -> None:
    typer.echo(f"{step.name}  {_readable(step.size)}{'' if step.sent else '  (already there)'}", err=True)


def _readable(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < _STEP:
            return f"{size:.4g} {unit}"
        size /= _STEP
    return f"{size:.4g} {_UNITS[-1]}"
