"""Plain networks: shapes, the source of the weights, their law."""

import pytest
import torch
from torch import Generator, nn

from genbound.models.networks import MLP


@pytest.mark.parametrize("leading", [(), (5,), (2, 5)])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_shapes(leading: tuple[int, ...], depth: int, generator: Generator) -> None:
    net = MLP(3, 2, 16, depth, generator=generator)
    assert net(torch.zeros(*leading, 3)).shape == (*leading, 2)
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    assert len(linear) == depth + 1
    assert isinstance(net[-1], nn.Linear)


def test_the_generator_alone_decides_the_weights() -> None:
    def weights(seed: int, global_seed: int) -> torch.Tensor:
        torch.default_generator.manual_seed(global_seed)
        net = MLP(3, 2, 16, 2, generator=torch.Generator().manual_seed(seed))
        return nn.utils.parameters_to_vector(net.parameters())

    with torch.random.fork_rng():
        assert torch.equal(weights(1, 0), weights(1, 7))
        assert not torch.equal(weights(1, 0), weights(2, 0))


def test_the_global_generator_is_left_alone(generator: Generator) -> None:
    before = torch.random.get_rng_state()
    MLP(3, 2, 16, 2, generator=generator)
    assert torch.equal(before, torch.random.get_rng_state())


def test_weights_have_the_law_of_torch_layers(generator: Generator) -> None:
    net = MLP(4, 300, 1, 0, generator=generator)
    for parameter in net.parameters():
        scaled = parameter.detach().flatten() * 2
        assert scaled.abs().max() <= 1
        # A uniform law on [-1, 1]: mean 0, variance 1/3, the square's variance 4/45.
        assert scaled.mean().abs() < 4 * (1 / 3 / scaled.numel()) ** 0.5
        assert (scaled.square().mean() - 1 / 3).abs() < 4 * (4 / 45 / scaled.numel()) ** 0.5


def test_the_network_is_the_composition_it_claims(generator: Generator) -> None:
    net = MLP(3, 2, 5, 1, generator=generator)
    first, second = net[0], net[2]
    x = torch.randn(7, 3, generator=generator)
    hidden = x @ first.weight.T + first.bias
    expected = (hidden * torch.sigmoid(hidden)) @ second.weight.T + second.bias
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize(
    ("sizes", "name"),
    [
        ((0, 1, 1, 1), "d_in"),
        ((1, 0, 1, 1), "d_out"),
        ((1, 1, 0, 1), "width"),
        ((1, 1, 1, -1), "depth"),
    ],
)
def test_sizes_out_of_range_are_refused_by_name(
    sizes: tuple[int, ...], name: str, generator: Generator
) -> None:
    with pytest.raises(ValueError, match=name):
        MLP(*sizes, generator=generator)
