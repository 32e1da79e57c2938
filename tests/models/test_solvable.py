import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.data import Gaussian
from genbound.models.solvable import LinearScore, MeanLearner
from genbound.protocols import ScoreModel
from genbound.sampler import sample
from genbound.sde import cosine, ou, vp


def learner(mean, process=None, horizon=1.0, t_min=0.01):
    return MeanLearner(torch.tensor(mean), process or vp(), horizon, t_min)


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=5),
    st.floats(0.001, 0.99),
    st.sampled_from([vp(), ou(), cosine()]),
)
def test_it_is_the_score_of_its_gaussian(mean, time, process):
    mean = torch.tensor(mean, dtype=torch.float64)
    model = MeanLearner(mean, process, 1.0, 0.001)
    law = Gaussian(mean, torch.eye(len(mean), dtype=torch.float64)).noised(process, time)
    points = torch.randn(7, len(mean), generator=torch.Generator().manual_seed(0)).double()
    assert torch.allclose(model.score(points, time), law.score(points), atol=1e-9)


def test_times_broadcast_with_points():
    model = learner([1.0, -2.0])
    points, times = torch.randn(3, 4, 2), torch.rand(3, 4) + 0.01
    scores = model.score(points, times)
    assert scores.shape == points.shape
    for i in range(3):
        for j in range(4):
            single = model.score(points[i, j], float(times[i, j]))
            assert torch.allclose(scores[i, j], single, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_score_has_the_dtype_and_device_of_its_points(dtype, device):
    points = torch.zeros(5, 2, dtype=dtype, device=device)
    score = learner([1.0, 2.0]).score(points, 0.5)
    assert (score.dtype, score.device.type) == (dtype, device.type)


def test_it_is_a_score_model():
    assert isinstance(learner([0.0]), ScoreModel)


def test_its_chain_ends_at_the_shrunken_mean(generator):
    model = learner([2.0, -1.0], horizon=0.4, t_min=0.002)
    points = sample(
        model.process,
        model.score,
        n=4000,
        d=2,
        horizon=model.horizon,
        t_min=model.t_min,
        step=0.02,
        generator=generator,
        dtype=torch.float64,
    )
    shrink = 1 - math.exp(-float(model.process.clock_of(0.4)))
    gap = points.mean(0) - shrink * torch.tensor([2.0, -1.0])
    assert float(gap.abs().max()) < 4 / math.sqrt(4000) + 0.02
    assert points.var(0).tolist() == pytest.approx([1, 1], abs=0.12)


@given(
    st.integers(0, 100),
    st.integers(1, 4),
    st.floats(0.001, 0.99),
    st.sampled_from([vp(), ou(), cosine()]),
)
def test_the_linear_score_is_that_of_its_gaussian(seed, d, time, process):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(d, d, generator=generator, dtype=torch.float64)
    mean = torch.randn(d, generator=generator, dtype=torch.float64)
    model = LinearScore(mean, root @ root.mT, process, 1.0, 0.001)
    points = torch.randn(7, d, generator=generator, dtype=torch.float64)
    law = Gaussian(mean, root @ root.mT).noised(process, time)
    assert torch.allclose(model.score(points, time), law.score(points), atol=1e-6, rtol=1e-6)
    times = torch.full((7,), time)
    assert torch.allclose(model.score(points, times), model.score(points, time), atol=1e-4)


def test_a_linear_score_checks_its_covariance(device):
    mean = torch.zeros(2, device=device)
    identity = torch.eye(2, device=device)
    model = LinearScore(mean, identity, vp(), 1.0, 0.01)
    assert isinstance(model, ScoreModel)
    score = model.score(torch.ones(3, 2, device=device), 0.5)
    assert torch.allclose(score, -torch.ones(3, 2, device=device))
    for wrong, words in (
        (torch.eye(3), "covariance: got shape"),
        (torch.tensor([[1.0, 0.5], [0.0, 1.0]]), "not symmetric"),
        (torch.diag(torch.tensor([1.0, -0.5])), "eigenvalue"),
    ):
        with pytest.raises(ValueError, match=words):
            LinearScore(mean, wrong.to(device), vp(), 1.0, 0.01)
