import math
from dataclasses import replace

import pytest
import sympy as sp
import torch

from genbound.derivation import Derivation
from genbound.derivations import change_of_measure, two_sided
from genbound.symbolic import Refuted

transport = change_of_measure.transport.to_torch(
    change_of_measure.scale, change_of_measure.divergence
)


def opened(result):
    return replace(result, steps=result.steps[:1])


def test_everything_is_proved():
    for name in ("right_tail", "shrunk", "stretched"):
        assert getattr(two_sided, name).grades == ("defined", "proved")


@pytest.mark.parametrize("name", ["shrunk", "stretched", "right_tail"])
def test_each_inequality_fails_where_it_asks_for_more(name):
    result = getattr(two_sided, name)
    claim = {"<=": opened(result).at_most, ">=": opened(result).at_least}[result.relation]
    claim(result.expr, by="as stated")
    with pytest.raises(Refuted):
        claim(result.expr * sp.Rational(3, 2) ** (1 if name != "shrunk" else -1), by="too much")


@pytest.mark.parametrize(("name", "spread"), [("shrunk", -1), ("stretched", 1)])
def test_one_family_where_one_side_holds_and_the_other_fails(name, spread):
    result = getattr(two_sided, name)
    ratio = torch.linspace(0.01, 9, 2000, dtype=torch.float64)
    variance = (1 + ratio) ** spread
    squared_shift = (3 * (variance - 1) / 2) ** 2
    reach = transport(math.sqrt(3 / 2), 3 * (variance - 1 - variance.log()) / 2)
    first, last = (
        Derivation.of(result.lhs, step.expr).to_torch(*two_sided.args)(ratio, 3)
        for step in result.steps
    )
    torch.testing.assert_close(first, squared_shift)
    torch.testing.assert_close(last, reach**2)
    assert bool(((last - first) * spread < 0).all())
