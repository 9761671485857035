from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_operator.link.renewal import Step, Validity, decide

BORN = datetime(2026, 1, 1, tzinfo=UTC)
NINETY_DAYS = Validity(BORN, BORN + timedelta(days=90))


@pytest.mark.parametrize(
    ("certificate", "days", "token", "step", "reason"),
    [
        (None, 0, True, Step.ENROLL, ""),
        (None, 0, False, Step.STUCK, "BootstrapTokenMissing"),
        (NINETY_DAYS, -1, False, Step.USE, ""),  # this clock lags; the hub's decides
        (NINETY_DAYS, 59.9, False, Step.USE, ""),
        (NINETY_DAYS, 60, False, Step.RENEW, ""),
        (NINETY_DAYS, 89.9, True, Step.RENEW, ""),
        (NINETY_DAYS, 90, True, Step.ENROLL, ""),
        (NINETY_DAYS, 90, False, Step.STUCK, "CertificateExpired"),
    ],
)
def test_the_step_follows_from_age_and_token(certificate, days, token, step, reason):
    decision = decide(certificate, bootstrap_token=token, now=BORN + timedelta(days=days))
    assert (decision.step, decision.reason) == (step, reason)


@pytest.mark.parametrize("days", [1, 70])
@pytest.mark.parametrize(
    ("token", "step", "reason"), [(True, Step.REPLACE, ""), (False, Step.USE, "CertificateRefused")]
)
def test_a_certificate_that_the_hub_refuses_is_replaced_by_token_and_offered_on_until_then(days, token, step, reason):
    decision = decide(NINETY_DAYS, bootstrap_token=token, now=BORN + timedelta(days=days), refused=True)
    assert (decision.step, decision.reason) == (step, reason)
    assert decision.again_in <= timedelta(minutes=1)


def test_being_stuck_says_what_to_do():
    decision = decide(NINETY_DAYS, bootstrap_token=False, now=BORN + timedelta(days=100))
    assert "2026-04-01" in decision.message
    assert "skerry-bootstrap" in decision.message


@given(
    life=st.timedeltas(timedelta(minutes=10), timedelta(days=3650)),
    age=st.timedeltas(timedelta(0), timedelta(days=4000)),
    token=st.booleans(),
)
def test_a_valid_certificate_is_never_given_up_and_an_expired_one_never_used(life, age, token):
    decision = decide(Validity(BORN, BORN + life), bootstrap_token=token, now=BORN + age)
    assert (decision.step in (Step.USE, Step.RENEW)) == (age < life)
    assert timedelta(0) < decision.again_in <= timedelta(hours=1)
    if decision.step is Step.USE:
        assert BORN + age + decision.again_in <= Validity(BORN, BORN + life).renew_at
