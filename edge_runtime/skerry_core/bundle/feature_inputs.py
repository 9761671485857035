"""Binds a model's inputs to feature sets when it is packaged, so that what can't fit is refused there. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from skerry_api.v1alpha1.modelrelease import MAX_FEATURE_SETS
from skerry_core import digest as digests
from skerry_core.bundle.manifest import DataType, TensorSpec
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureInput, FeatureSetDocument, FeatureSetRef, OnRejected
from skerry_core.features.plan import compile_set
from skerry_core.features.vector import width

_FLOATS = frozenset({DataType.FP32, DataType.FP64})
_ONE_ENTITY = 1


@dataclass(frozen=True)
class FeatureBinding:
    """Fill `input` from `features` of a set, in this order; of all, in the set's order, if there are none."""

    input: str
    document: FeatureSetDocument
    features: tuple[str, ...] = ()
    on_rejected: OnRejected = OnRejected.ERROR
    client_may_give: bool = False


def ref_of(document: FeatureSetDocument) -> FeatureSetRef:
    """A version by the digest of its canonical bytes."""
    return FeatureSetRef(
        namespace=document.namespace,
        name=document.name,
        version=document.version,
        digest=digests.of_bytes(canonical_json(document)),
    )


def bind(bindings: Sequence[FeatureBinding], inputs: Sequence[TensorSpec]) -> tuple[FeatureInput, ...]:
    """The manifest's bindings; UserMustActError FeaturesInvalid says which of them doesn't fit the model's inputs."""
    specs = {spec.name: spec for spec in inputs}
    names = [binding.input for binding in bindings]
    if len(set(names)) < len(names):
        raise _invalid(f"an input is filled from one feature set: {', '.join(names)}")
    bound = tuple(_bound(binding, specs.get(binding.input), sorted(specs)) for binding in bindings)
    sets = {each.feature_set for each in bound}
    if len(sets) > MAX_FEATURE_SETS:
        raise _invalid(f"{len(sets)} feature sets, a release can have {MAX_FEATURE_SETS}")
    if len({each.namespace for each in sets}) > 1:
        raise _invalid("the feature sets are in different namespaces: they must be in the release's own")
    if len({(each.name, each.version) for each in sets}) < len(sets):
        raise _invalid("two files say different things of the same version of a feature set")
    return bound


def _bound(binding: FeatureBinding, spec: TensorSpec | None, names: Sequence[str]) -> FeatureInput:
    document, plan = binding.document, compile_set(binding.document)
    if spec is None:
        raise _invalid(f"the model has no input {binding.input!r}; it has {', '.join(names)}")
    features = binding.features or tuple(feature.name for feature in document.features)
    if unknown := [name for name in features if name not in plan.by_name]:
        raise _invalid(
            f"{document.name} {document.version} has no {', '.join(unknown)}; it has {', '.join(plan.by_name)}"
        )
    columns = width(plan, features)
    described = f"input {spec.name} takes {spec.datatype} {list(spec.shape)}"
    match spec.shape:
        case (rows, taken) if rows in {-1, _ONE_ENTITY} and taken in {-1, columns}:
            pass
        case _:
            raise _invalid(f"{described}, its features make [-1, {columns}]")
    if spec.datatype not in _FLOATS:
        raise _invalid(f"{described}, features are floats")
    if binding.on_rejected is OnRejected.DEFAULTS:
        lacking = [name for name in features if plan.by_name[name].feature.default is None]
        if lacking:
            raise _invalid(f"input {spec.name} can't take defaults for {', '.join(lacking)}: the set gives none")
    return FeatureInput(
        input=spec.name,
        feature_set=ref_of(document),
        features=features,
        on_rejected=binding.on_rejected,
        client_may_give=binding.client_may_give,
    )


def _invalid(problem: str) -> UserMustActError:
    return UserMustActError("FeaturesInvalid", problem)
