"""Factors on the rate: where they start, what they are, how they end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbound.training.schedules import Constant, Cosine, Power

steps = st.integers(0, 10**6)


@given(step=steps, exponent=st.floats(0, 3), length=st.integers(1, 1000), last=st.floats(0, 0.9))
def test_all_start_at_one_and_never_rise(step, exponent, length, last):
    for schedule in (Constant(), Power(exponent), Cosine(length, last)):
        assert schedule(0) == 1
        assert 0 <= schedule(step + 1) <= schedule(step) <= 1


def test_values() -> None:
    assert Power(0.5)(3) == 0.5
    assert Power(1.0)(9) == pytest.approx(0.1)
    assert Power(0.0)(7) == Constant()(7) == 1
    cosine = Cosine(8, last=0.2)
    assert cosine(4) == pytest.approx(0.6)
    assert cosine(2) == pytest.approx(0.2 + 0.8 * (1 + 0.5**0.5) / 2)
    assert cosine(8) == cosine(100) == pytest.approx(0.2)
    assert Cosine(8)(8) == 0


def test_equal_schedules_are_one_in_words() -> None:
    several = [Constant(), Power(0.5), Power(0.6), Cosine(8), Cosine(9), Cosine(8, 0.1)]
    assert len({repr(schedule) for schedule in several}) == len(several)
    assert repr(Power(0.5)) == repr(Power(0.5))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Power(-0.1), "exponent"),
        (lambda: Cosine(0), "steps"),
        (lambda: Cosine(5, last=1.0), "last"),
        (lambda: Cosine(5, last=-0.1), "last"),
    ],
)
def test_constants_out_of_range_are_refused_by_name(make, name):
    with pytest.raises(ValueError, match=name):
        make()
