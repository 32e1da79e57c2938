"""Many modules as one: random streams that do not meet, gradients that are each member's own."""

import pytest
import torch
from torch import Generator, Tensor, nn

from genbound.models.networks import MLP
from genbound.training.ensemble import built, flatten, gradients, stack, stream


def build(member: dict) -> nn.Module:
    width = member.get("width", 8)
    return MLP(3, 2, width, 2, generator=stream(member["seed"], "initialisation"))


def squared_error(module: nn.Module, sample: tuple[Tensor, Tensor]) -> Tensor:
    inputs, targets = sample
    return (module(inputs) - targets).square().mean()


def test_streams_are_reproducible_and_do_not_meet() -> None:
    def numbers(seed: int, name: str) -> tuple[float, ...]:
        return tuple(torch.rand(3, generator=stream(seed, name)).tolist())

    assert numbers(3, "draws") == numbers(3, "draws")
    # 2**32 + 3 and 3 are one seed for the generator itself.
    seeds = [*range(20), 2**32 + 3, -1]
    assert len({numbers(s, n) for s in seeds for n in ("draws", "initialisation")}) == 44


def test_a_seed_is_an_integer() -> None:
    with pytest.raises(TypeError):
        stream(0.5, "draws")


def test_gradients_are_each_members_own(generator: Generator) -> None:
    modules = [build({"seed": seed}).double() for seed in range(4)]
    samples = (
        torch.randn(4, 5, 3, generator=generator, dtype=torch.float64),
        torch.randn(4, 5, 2, generator=generator, dtype=torch.float64),
    )
    params, constants = stack(modules)
    losses, grads = gradients(squared_error, modules[0], constants)(params, samples)
    for i, module in enumerate(modules):
        alone = squared_error(module, (samples[0][i], samples[1][i]))
        expected = torch.autograd.grad(alone, list(module.parameters()))
        torch.testing.assert_close(losses[i], alone.detach(), rtol=1e-12, atol=0)
        for grad, slope in zip(grads.values(), expected, strict=True):
            torch.testing.assert_close(grad[i], slope, rtol=1e-10, atol=1e-14)


def test_frozen_parameters_and_buffers_stay(generator: Generator) -> None:
    modules = [build({"seed": seed}) for seed in range(2)]
    for module in modules:
        module[0].requires_grad_(False)
        module.register_buffer("offset", torch.ones(2))
    params, constants = stack(modules)
    assert set(constants) == {"0.weight", "0.bias", "offset"}
    assert set(params) == {"2.weight", "2.bias", "4.weight", "4.bias"}
    samples = torch.randn(2, 5, 3, generator=generator), torch.zeros(2, 5, 2)
    _, grads = gradients(squared_error, modules[0], constants)(params, samples)
    assert set(grads) == set(params)


def test_flat_weights_are_the_members_vectors() -> None:
    modules = [build({"seed": seed}) for seed in range(3)]
    flat = flatten(stack(modules)[0])
    for row, module in zip(flat, modules, strict=True):
        assert torch.equal(row, nn.utils.parameters_to_vector(module.parameters()))


def test_foreign_layers_are_seeded_and_the_global_generator_is_restored() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (
        built(lambda _: nn.Linear(3, 2), {"seed": seed}, torch.zeros(1)).weight
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_modules_take_the_dtype_of_the_data(dtype: torch.dtype) -> None:
    assert built(build, {"seed": 0}, torch.zeros(1, dtype=dtype))[0].weight.dtype == dtype


def test_whole_number_data_leave_the_modules_dtype() -> None:
    assert built(build, {"seed": 0}, torch.zeros(1, dtype=int))[0].weight.dtype == torch.float32


def test_modules_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"differ in 0.weight"):
        stack([build({"seed": 0, "width": 8}), build({"seed": 0, "width": 9})])


def test_a_module_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter"):
        stack([nn.Identity()])


def test_a_module_that_changes_its_buffers_is_refused(generator: Generator) -> None:
    modules = [nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)) for _ in range(2)]
    params, constants = stack(modules)
    samples = torch.randn(2, 5, 3, generator=generator), torch.zeros(2, 5, 2)
    with pytest.raises(ValueError, match="running_mean"):
        gradients(squared_error, modules[0], constants)(params, samples)


def test_a_loss_per_point_is_refused(generator: Generator) -> None:
    params, constants = stack([build({"seed": 0})])
    evaluate = gradients(lambda module, x: module(x).sum(-1), build({"seed": 0}), constants)
    with pytest.raises(TypeError, match=r"0-dim, got shape \(5,\)"):
        evaluate(params, torch.randn(1, 5, 3, generator=generator))
