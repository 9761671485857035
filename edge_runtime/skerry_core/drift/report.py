"""Models' drift as reports and conditions tell it: nodes' as the site's, and a site's as a condition. Pure."""

from collections.abc import Iterable, Sequence

from skerry_api.conditions import Observation
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.drift import DRIFTING, MAX_REPORTED, DriftedColumn, DriftReport, DriftState
from skerry_api.v1alpha1.siteassignment import ModelReport

_SHOWN = 3


def settled(report: DriftReport | None) -> DriftReport | None:
    """The part of a report whose change is news: what drifts since when, without figures that come with each window."""
    if report is None:
        return None
    names = tuple(DriftedColumn(name=name) for name in sorted(column.name for column in report.columns))
    return report.model_copy(update={"windows": 0, "columns": names})


def of_site(nodes: Iterable[DriftReport | None], serving: str | None) -> DriftReport | None:
    """Several nodes' drift of one model as the site's; `serving` is the release that the site serves, if it is one.

    It drifts if a node's does: what a node sees is its own devices' doing. None if no node watches it.
    """
    reports = [each for each in nodes if each is not None and serving in (None, each.digest)]
    if not reports:
        return None
    drifting = [each for each in reports if each.state is DriftState.DRIFTING]
    stable = [each for each in reports if each.state is DriftState.STABLE]
    telling = drifting or stable or reports
    worst: dict[str, DriftedColumn] = {}
    for column in (column for each in drifting for column in each.columns):
        if column.name not in worst or _excess(column) > _excess(worst[column.name]):
            worst[column.name] = column
    columns = sorted(worst.values(), key=lambda column: (-_excess(column), column.name))
    return DriftReport(
        state=telling[0].state,
        digest=telling[0].digest,
        since=min((each.since for each in telling if each.since is not None), default=None),
        windows=sum(each.windows for each in reports),
        columns=tuple(columns[:MAX_REPORTED]),
        drifting_columns=max([len(columns), *(each.drifting_columns for each in drifting)]),
        nodes=len(drifting),
    )


def _excess(column: DriftedColumn) -> float:
    return column.psi / column.limit if column.psi is not None and column.limit else 0.0


def condition_of(models: Sequence[ModelReport]) -> Observation | None:
    """The condition `Drifting` of whoever reports these models; None if no model is watched."""
    watched = [(model, model.drift) for model in models if model.drift is not None]
    if not watched:
        return None
    drifting = [(model, drift) for model, drift in watched if drift.state is DriftState.DRIFTING]
    if drifting:
        told = "; ".join(f"{model.namespace}/{model.model}: {columns_of(drift)}" for model, drift in drifting)
        advice = "nothing is rolled back for it: see whether a device or the process changed, or train on newer data"
        return Observation(DRIFTING, ConditionStatus.TRUE, "ColumnsDrift", f"{told}; {advice}")
    if all(drift.state is DriftState.COLLECTING for _, drift in watched):
        return Observation(DRIFTING, ConditionStatus.UNKNOWN, "Collecting", "too little traffic was seen so far")
    return Observation(DRIFTING, ConditionStatus.FALSE, "LikeValidationData", "traffic is like the validation data")


def columns_of(report: DriftReport) -> str:
    """The worst columns in words: `x[3] (0.81, at most 0.2), x[1] (0.44, at most 0.2) and 2 more`."""
    shown = report.columns[:_SHOWN]
    told = ", ".join(
        column.name
        if column.psi is None or column.limit is None
        else f"{column.name} (PSI {column.psi:.2g}, at most {column.limit:.2g})"
        for column in shown
    )
    more = report.drifting_columns - len(shown)
    return f"{told} and {more} more" if more > 0 else told
