import math

import pytest
import torch

from genbound import sde
from genbound.estimate import exact
from genbound.estimators.iterates import Iterates, loss_distances, path_losses
from genbound.estimators.score_matching import denoising_losses
from genbound.estimators.topology import lifetime_sum
from genbound.estimators.trajectory_geometry import distances
from genbound.models.diffusion import N_FEATURES, Diffusion
from genbound.models.networks import MLP

UNTRAINED = exact(1.0, method="known")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_distances_between_losses():
    losses = torch.randn(7, 30, generator=seeded(1), dtype=torch.float64)
    losses[5] = losses[2]
    measured = loss_distances(losses)
    truth = (losses[:, None] - losses).abs().mean(-1)
    torch.testing.assert_close(measured, truth)
    assert float(measured[2, 5]) == 0
    # Constants added to the losses of one iterate move it by that much.
    torch.testing.assert_close(
        loss_distances(torch.stack([losses[0], losses[0] + 2]))[0, 1],
        torch.tensor(2.0, dtype=torch.float64),
    )


def test_one_geometry_for_each_metric():
    points = torch.randn(20, 6, generator=seeded(2), dtype=torch.float64)
    losses = torch.randn(20, 9, generator=seeded(3), dtype=torch.float64)
    iterates = Iterates(points, losses, UNTRAINED)
    torch.testing.assert_close(iterates.separations(), distances(points))
    torch.testing.assert_close(iterates.separations("losses"), loss_distances(losses))
    for alpha in (0.5, 1.0):
        measured = iterates.lifetimes(alpha=alpha)
        assert measured.value == pytest.approx(lifetime_sum(points, alpha=alpha).value)
        assert measured.side == "exact"
    assert iterates.lifetimes(alpha=1.0, metric="losses").value != measured.value
    assert iterates.weighting(scale=50.0).saturation == pytest.approx(1, abs=1e-6)
    assert iterates.distinct() == 20
    again = Iterates(points[[0, 1, 0, 1, 0]], losses[:5], UNTRAINED)
    assert again.distinct() == 2
    assert iterates.loss.value == pytest.approx(float(losses[-1].mean()))


def test_the_worst_gap():
    points = torch.zeros(3, 2)
    losses = torch.tensor([[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    fresh = torch.tensor([[1.0, 1.0, 1.0], [0.0, 2.0, 4.0], [0.0, 0.0, 0.0]])
    gap = Iterates(points, losses, UNTRAINED).worst_gap(fresh)
    assert gap.value == 2 and gap.side == "upper"
    assert gap.stderr == pytest.approx(2 / math.sqrt(3))


def test_losses_along_a_path_share_their_noise():
    net = MLP(2 + N_FEATURES, 2, width=8, depth=1, generator=seeded(4))
    model = Diffusion(net, sde.vp(), horizon=1.0, t_min=0.05)
    own = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    window = torch.stack([own, own + 0.1, own])
    data = torch.randn(5, 2, generator=seeded(5))
    losses = path_losses(model, window, data, draws=8, generator=seeded(6))
    assert losses.shape == (3, 5) and torch.equal(losses[0], losses[2])
    assert not torch.equal(losses[0], losses[1])
    direct = denoising_losses(model, data, draws=8, generator=seeded(6))
    torch.testing.assert_close(losses[0], direct)
    now = torch.nn.utils.parameters_to_vector(model.parameters())
    torch.testing.assert_close(now, own)


SOME = Iterates(torch.zeros(3, 2), torch.zeros(3, 5), UNTRAINED)
BAD = [
    (lambda: Iterates(torch.zeros(3, 2), torch.zeros(2, 5), UNTRAINED), "losses"),
    (lambda: Iterates(torch.zeros(3), torch.zeros(3, 5), UNTRAINED), "losses"),
    (lambda: loss_distances(torch.zeros(3)), "losses"),
    (lambda: Iterates(torch.zeros(3, 2), torch.full((3, 5), math.nan), UNTRAINED), "losses"),
    (lambda: SOME.separations("lossses"), "metric"),
    (lambda: SOME.lifetimes(alpha=1.0, metric="weight"), "metric"),
    (lambda: SOME.lifetimes(alpha=0.0), "alpha"),
    (lambda: SOME.lifetimes(alpha=math.inf), "alpha"),
    (lambda: SOME.worst_gap(torch.zeros(2, 9)), "fresh"),
    (
        lambda: path_losses(
            torch.nn.Linear(2, 2),
            torch.zeros(3, 4),
            torch.zeros(5, 2),
            draws=2,
            generator=seeded(1),
        ),
        "window",
    ),
]


@pytest.mark.parametrize(("call", "name"), BAD)
def test_bad_input(call, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()
