import pytest
import torch
from torch.distributions import Bernoulli, Exponential, Independent, Normal

from genbound.estimators.draws import draw


def test_normal_draws_have_the_moments_of_their_law():
    generator = torch.Generator().manual_seed(0)
    mean, scale = torch.tensor([[1.0, -2.0], [0.0, 3.0]]).double(), torch.tensor([0.5, 2.0])
    law = Independent(Normal(mean, scale.double().expand(2, 2)), 1)
    count = 40_000
    points = draw(law, generator=generator, shape=(count,))
    assert points.shape == (count, 2, 2) and points.dtype == torch.float64
    error = scale / count**0.5
    assert bool(((points.mean(0) - mean).abs() < 4 * error).all())
    assert bool(((points.std(0) - scale).abs() < 4 * error / 2**0.5).all())
    correlation = torch.corrcoef(points.reshape(count, 4).T) - torch.eye(4)
    assert float(correlation.abs().max()) < 4.5 / count**0.5


def test_bernoulli_draws_have_their_probabilities():
    probability = torch.tensor([0.1, 0.5, 1.0])
    law = Independent(Bernoulli(probs=probability), 1)
    points = draw(law, generator=torch.Generator().manual_seed(1), shape=(3, 20_000))
    assert points.shape == (3, 20_000, 3) and set(points.unique().tolist()) == {0.0, 1.0}
    error = (probability * (1 - probability) / 60_000).sqrt()
    assert bool(((points.mean((0, 1)) - probability).abs() <= 4 * error).all())


def test_the_generator_alone_decides():
    law = Normal(torch.zeros(5), torch.ones(5))
    torch.manual_seed(0)
    first = draw(law, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(1)
    second = draw(law, generator=torch.Generator().manual_seed(2))
    other = draw(law, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_draws_pass_gradients():
    scale = torch.ones(3, requires_grad=True)
    draw(
        Normal(torch.zeros(3), scale), generator=torch.Generator().manual_seed(0)
    ).sum().backward()
    assert float(scale.grad.abs().min()) > 0


def test_an_unknown_law_is_refused_by_name():
    with pytest.raises(TypeError, match="law: got Exponential, allowed are Normal"):
        draw(Exponential(torch.ones(2)), generator=torch.Generator())
