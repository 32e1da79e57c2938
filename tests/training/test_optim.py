"""Every member of a stack moves exactly as `torch.optim` would move it alone."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from genbound.training.optim import Transform, adam, sgd

STEPS = 25
RATES = [1e-3, 0.03, 0.2]

fractions = st.floats(0.0, 0.99)
decays = st.sampled_from([0.0, 0.01, 0.3])


def slopes(params: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    """Gradients of a convex function, another one at each step: rounding does not grow."""
    return {name: p + torch.sin(p + step) / 2 for name, p in params.items()}


def start(generator: Generator) -> dict[str, Tensor]:
    shapes = {"weight": (len(RATES), 4, 3), "bias": (len(RATES), 4)}
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def assert_moves_as(transform: Transform, reference: Callable[..., torch.optim.Optimizer]) -> None:
    generator = torch.Generator().manual_seed(5)
    params = start(generator)
    alone = [{k: p[i].clone().requires_grad_() for k, p in params.items()} for i in range(3)]
    optimisers = [reference(list(a.values()), lr=lr) for a, lr in zip(alone, RATES, strict=True)]
    state = transform.init(params)
    for step in range(STEPS):
        params, state = transform.update(
            params, slopes(params, step), state, torch.tensor(RATES, dtype=torch.float64)
        )
        for member, optimiser in zip(alone, optimisers, strict=True):
            grads = slopes({k: p.detach() for k, p in member.items()}, step)
            for name, param in member.items():
                param.grad = grads[name]
            optimiser.step()
    for name, param in params.items():
        expected = torch.stack([member[name].detach() for member in alone])
        torch.testing.assert_close(param, expected, rtol=1e-9, atol=1e-11)


@given(momentum=fractions, weight_decay=decays)
def test_sgd_is_that_of_torch(momentum: float, weight_decay: float) -> None:
    options = {"momentum": momentum, "weight_decay": weight_decay}
    assert_moves_as(sgd(**options), lambda p, lr: torch.optim.SGD(p, lr=lr, **options))


@given(first=fractions, second=st.floats(0.5, 0.9999), weight_decay=decays)
def test_adam_is_that_of_torch(first: float, second: float, weight_decay: float) -> None:
    options = {"betas": (first, second), "weight_decay": weight_decay}
    assert_moves_as(adam(**options), lambda p, lr: torch.optim.Adam(p, lr=lr, **options))


def test_the_comparison_tells_one_rule_from_another() -> None:
    with pytest.raises(AssertionError):
        assert_moves_as(adam(), lambda p, lr: torch.optim.AdamW(p, lr=lr, weight_decay=0.1))
    with pytest.raises(AssertionError):
        assert_moves_as(sgd(), lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=1e-3))


@pytest.mark.parametrize("transform", [sgd(), sgd(momentum=0.9), adam()], ids=lambda t: t.name)
def test_a_number_is_a_rate_for_all(transform: Transform, generator: Generator) -> None:
    params = start(generator)
    grads = slopes(params, 0)
    kept = copy.deepcopy(grads)
    shared, _ = transform.update(copy.deepcopy(params), grads, transform.init(params), 0.01)
    each, _ = transform.update(
        copy.deepcopy(params), grads, transform.init(params), torch.full((3,), 0.01)
    )
    for name in params:
        torch.testing.assert_close(shared[name], each[name], rtol=1e-6, atol=0)
        assert torch.equal(grads[name], kept[name])
        assert not torch.equal(shared[name], params[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rates_do_not_change_the_dtype(dtype: torch.dtype, generator: Generator) -> None:
    params = {name: param.to(dtype) for name, param in start(generator).items()}
    for transform in (sgd(momentum=0.5), adam()):
        rates = torch.tensor(RATES, dtype=torch.float64)
        moved, _ = transform.update(params, slopes(params, 0), transform.init(params), rates)
        assert all(param.dtype == dtype for param in moved.values())


def test_names_tell_transforms_apart() -> None:
    assert adam().name == adam(betas=(0.9, 0.999)).name
    assert len({t.name for t in (adam(), adam(eps=1e-6), sgd(), sgd(momentum=0.9))}) == 4


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: sgd(momentum=1.0), "momentum"),
        (lambda: sgd(weight_decay=-1.0), "weight_decay"),
        (lambda: adam(betas=(0.9, 1.0)), r"betas\[1\]"),
        (lambda: adam(betas=(-0.1, 0.9)), r"betas\[0\]"),
        (lambda: adam(eps=-1e-8), "eps"),
    ],
)
def test_constants_out_of_range_are_refused_by_name(make: Callable, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        make()
