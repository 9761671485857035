"""The hub's cluster as the command line reaches it: by kubeconfig and context, like kubectl."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from kubernetes.client import Configuration
from kubernetes.config import list_kube_config_contexts, load_kube_config
from kubernetes.config.config_exception import ConfigException

from skerry_api.v1alpha1.fields import ApiModel
from skerry_core.errors import UserMustActError
from skerry_operator.kube.api import KubeApi
from skerry_operator.kube.resources import Resource
from skerry_operator.kube.rest import RestKube

Context = Annotated[str, typer.Option(help="Context of the kubeconfig. (default: its current one)")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace. (default: the context's)")]

_Object = TypeVar("_Object", bound=ApiModel)


@dataclass(frozen=True)
class Cluster:
    """One API server: the port to it, the context's namespace, and how others reach and trust it."""

    api: KubeApi
    namespace: str
    server: str
    ca_pem: str

    def all(self, kind: type[_Object], resource: Resource, namespace: str | None = None) -> list[_Object]:
        """Read all objects of one of our kinds, of one namespace or of all."""
        return [kind.model_validate(item) for item in self.api.list(resource, namespace).items]

    def one(self, kind: type[_Object], resource: Resource, name: str, namespace: str | None) -> _Object:
        """Read one object of ours; UserMustActError `NotFound` if there is none."""
        item = self.api.get(resource, name, namespace)
        if item is None:
            where = f" in namespace {namespace}" if namespace else ""
            raise UserMustActError("NotFound", f"there is no {resource.kind} {name!r}{where}")
        return kind.model_validate(item)


def connect(context: str = "") -> Cluster:
    """Reach the cluster of a context, asking nothing of it yet; UserMustActError `NoKubeconfig` if there is none."""
    configuration, chosen = configured(context)
    ca_file = configuration.ssl_ca_cert
    return Cluster(
        api=RestKube(configuration),
        namespace=chosen["context"].get("namespace") or "default",
        server=configuration.host,
        ca_pem=Path(ca_file).read_text() if ca_file else "",
    )


def configured(context: str = "") -> tuple[Configuration, dict[str, Any]]:
    """A context's client configuration and its entry in the kubeconfig; raises as `connect` does."""
    configuration = Configuration()
    try:
        load_kube_config(context=context or None, client_configuration=configuration)  # type: ignore[no-untyped-call]
        contexts, current = list_kube_config_contexts()  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise UserMustActError(
            "NoKubeconfig", f"no cluster to talk to: {error}; set KUBECONFIG or --context"
        ) from error
    chosen: dict[str, Any] = next((each for each in contexts if each["name"] == context), current)
    return configuration, chosen
