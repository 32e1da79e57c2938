"""The U-Net: shapes, the source of its weights, ensembles, and that it learns."""

import math

import pytest
import torch
from torch import Generator, nn

from genbound import data, sde
from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective
from genbound.models.unet import UNet
from genbound.training import grid, stream, train

VP = sde.vp()


@pytest.mark.parametrize("leading", [(), (5,), (2, 3)])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 8), {"width": 4, "multiples": (1, 2)}),
        ((4, 12), {"width": 3, "multiples": (2,), "blocks": 2, "attention": (4,)}),
        ((3, 16, 16), {"width": 4, "multiples": (1, 2, 2, 2), "attention": (8,)}),
        ((28, 28), {"width": 4}),
    ],
)
def test_shapes(leading, shape, options, generator):
    net, d = UNet(shape, **options, generator=generator), math.prod(shape)
    inputs = torch.randn(*leading, d + N_FEATURES, generator=generator)
    assert net(inputs).shape == (*leading, d)
    assert (net(inputs) == 0).all()  # the score of the prior


def perturbed(net, generator):
    """The network with a last convolution that is not 0, so that every weight matters."""
    with torch.no_grad():
        for parameter in net.leave[-1].parameters():
            parameter.uniform_(-0.1, 0.1, generator=generator)
    return net


def test_every_weight_has_a_finite_gradient(generator):
    net = perturbed(
        UNet((8, 8), width=8, multiples=(1, 2), attention=(8,), generator=generator), generator
    )
    net(torch.randn(4, 72, generator=generator)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_every_image_is_treated_alone_and_sees_its_noise_level(generator):
    net = perturbed(
        UNet((8, 8), width=8, multiples=(1, 2), generator=generator), generator
    ).double()
    inputs = torch.randn(3, 72, generator=generator, dtype=torch.float64)
    changed = inputs.clone()
    changed[1, 70] += 1
    difference = (net(inputs) - net(changed)).abs().amax(-1)
    assert difference[1] > 1e-4
    assert difference[[0, 2]].max() < 1e-12


def test_every_pixel_sees_all_pixels(generator):
    net = perturbed(UNet((16, 16), width=8, multiples=(1, 2), generator=generator), generator)
    inputs = torch.randn(256 + N_FEATURES, generator=generator, requires_grad=True)
    net(inputs)[0].backward()
    assert (inputs.grad != 0).all()


def test_the_generator_alone_decides_the_weights():
    before = torch.random.get_rng_state()

    def weights(seed):
        net = UNet((8, 8), width=4, multiples=(1,), generator=Generator().manual_seed(seed))
        return nn.utils.parameters_to_vector(net.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    assert torch.equal(before, torch.random.get_rng_state())


def fitted(images, members, steps):
    def build(member):
        generator = stream(member["seed"], "initialisation")
        net = UNet((8, 8), width=8, multiples=(1, 2), generator=generator)
        return Diffusion(net, VP, horizon=0.8, t_min=0.02)

    objective = denoising_objective(VP, batch=16, horizon=0.8, t_min=0.02)
    return train(objective, build, images, members, steps=steps)


def images(generator):
    split = data.few_shot(data.digits(), 16, seed=0)
    return data.Logits(17)(split.train, generator=generator)


def test_a_member_of_an_ensemble_equals_its_solo_run(generator):
    sample, members = images(generator).double(), grid(seed=[0, 1], lr=[1e-3])
    together = fitted(sample, members, 6)
    for i, member in enumerate(members):
        alone = fitted(sample, [member], 6)
        torch.testing.assert_close(together.losses[:, i], alone.losses[:, 0])
        for name, weights in alone.params.items():
            torch.testing.assert_close(together.params[name][i], weights[0], rtol=1e-6, atol=1e-9)


def test_sixteen_digits_are_learnt_far_below_the_loss_of_the_prior(generator):
    sample = images(generator)
    run = fitted(sample, grid(seed=[0], lr=[6e-3]), 150)
    untrained = fitted(sample, grid(seed=[0], lr=[1e-30]), 50)
    assert run.losses[-30:].mean() < 0.75 * untrained.losses.mean()


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((8, 8), {"width": 0}, "width must be at least 1, got 0"),
        ((8, 8), {"width": 4, "blocks": 0}, "blocks must be at least 1"),
        ((8, 8), {"width": 4, "features": 0}, "features must be at least 1"),
        ((8, 8), {"width": 4, "multiples": ()}, "multiples must be one or more positive"),
        ((8, 8), {"width": 4, "multiples": (1, 0)}, "multiples must be one or more positive"),
        (
            (14, 14),
            {"width": 4},
            r"shape: got \(14, 14\), allowed are rows and columns in .* of 4",
        ),
        ((64,), {"width": 4}, r"shape: got \(64,\)"),
    ],
)
def test_sizes_out_of_range_are_refused_by_name(shape, options, message, generator):
    with pytest.raises(ValueError, match=message):
        UNet(shape, **options, generator=generator)


def test_it_lives_where_its_generator_lives(device):
    generator = Generator(device).manual_seed(0)
    net = perturbed(UNet((8, 8), width=8, multiples=(1, 2), generator=generator), generator)
    assert net(torch.randn(2, 72, generator=generator, device=device)).device.type == device.type
