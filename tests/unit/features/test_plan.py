from skerry_core.features.accumulators.kinds import Kind
from skerry_core.features.columns import ColumnKind
from tests.unit.features.sets import TUMBLING, feature, plan


def test_features_share_columns_and_accumulators():
    shared = plan(
        [
            feature("sum", "Sum"),
            feature("mean", "Mean", " rms "),
            feature("std", "Std"),
            feature("count", "Count", None),
            feature("rate", "Rate", None),
        ]
    )
    assert [(column.kind, column.value) for column in shared.columns] == [
        (ColumnKind.NUMBER, "rms"),
        (ColumnKind.PRESENCE, None),
    ]
    (pane,) = shared.panes
    assert [(slot.column, slot.kind) for slot in pane.slots] == [
        (0, Kind.TALLY),
        (0, Kind.SUM),
        (0, Kind.SQUARES),
        (1, Kind.TALLY),
    ]
    # A plain field needs no evaluator.
    assert not shared.expressions


def test_what_differs_is_not_shared():
    apart = plan(
        [
            feature("sum", "Sum"),
            feature("open", "Sum", filter="open"),
            feature("long", "Sum", window=TUMBLING),
            feature("low", "Histogram", buckets=[1.0]),
            feature("high", "Histogram", buckets=[9.0]),
        ]
    )
    assert len(apart.columns) == 2
    assert [len(pane.slots) for pane in apart.panes] == [6, 2]


def test_enough_panes_are_kept():
    assert [pane.keep for pane in plan([feature("a", "Sum"), feature("b", "Sum", window=TUMBLING)]).panes] == [12, 4]
