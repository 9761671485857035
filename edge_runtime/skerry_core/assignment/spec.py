"""A SiteAssignment's spec around a sealed document. Pure."""

from skerry_api.v1alpha1.siteassignment import AssignedModel, SiteAssignmentSpec
from skerry_core.assignment.document import AssignmentDocument


def spec_of(envelope: str, document: AssignmentDocument) -> SiteAssignmentSpec:
    """The spec that holds an envelope; serial and models are views of the document in it, for admission and people."""
    models = tuple(
        AssignedModel(
            namespace=entry.namespace, name=entry.name, version=entry.target.version, digest=entry.target.digest
        )
        for entry in document.models
    )
    return SiteAssignmentSpec(envelope=envelope, serial=document.serial, models=models)
