import structlog
from prometheus_client import CollectorRegistry

from skerry_edge.telemetry.error_classes import OTHER, UNCLASSIFIED, ErrorClasses


def log_with(errors):
    return structlog.wrap_logger(structlog.ReturnLogger(), processors=[errors])


def classes(errors):
    (family,) = errors.collect()
    return {(each.labels["module"], each.labels["reason"]): each.value for each in family.samples}


def test_only_module_and_reason_are_counted():
    errors = ErrorClasses()
    log = log_with(errors)
    log.info("fine", reason="Fine")
    for _ in range(2):
        log.warning("step failed", reason="StoreRefused", message="https://user:secret@host/", path="/var/secret")
    log.error("odd", reason="patient 4711 is late")
    log.warning("odd", reason=4711)
    try:
        {}["a payload"]
    except KeyError as error:
        log.exception("unforeseen")
        log.exception("unforeseen", exc_info=error)
    module = __name__.rsplit(".", 1)[-1]
    assert classes(errors) == {
        (module, "StoreRefused"): 2,
        (module, UNCLASSIFIED): 2,
        (module, "KeyError"): 2,
    }


def test_a_line_passes_unchanged():
    assert ErrorClasses()(None, "warning", {"event": "x", "reason": "Y"}) == {"event": "x", "reason": "Y"}


def test_there_are_so_many_classes_at_most():
    errors = ErrorClasses()
    for number in range(100):
        errors.count("module", f"Reason{number}")
        errors.count("module", "Reason0")
    found = classes(errors)
    assert len(found) == 65
    assert found[OTHER, OTHER] == 36
    assert found["module", "Reason0"] == 101
    registry = CollectorRegistry()
    registry.register(errors)
    assert registry.get_sample_value("skerry_errors_total", {"module": OTHER, "reason": OTHER}) == 36
