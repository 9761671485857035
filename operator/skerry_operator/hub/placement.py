"""Whether a model is for a site: by the labels of its EdgeSite, and by whether the site is let in."""

from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.model import Model


def is_removed(model: Model, site: EdgeSite) -> bool:
    """Tell whether the site is to give the model up; that goes before `siteSelector`."""
    selector = model.spec.remove_from
    return selector is not None and selector.matches(site.metadata.labels)


def runs_at(model: Model, site: EdgeSite) -> bool:
    """Tell whether the site takes part in the model's rollouts."""
    chosen = model.spec.site_selector.matches(site.metadata.labels) and not is_removed(model, site)
    return site.spec.hub_accepts_client and chosen
