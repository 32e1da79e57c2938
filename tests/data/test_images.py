"""Images: what comes with packages, and readers of local files on files written here."""

import gzip
import math
import pickle
import struct

import numpy as np
import pytest
import torch

from genbound.data import Logits, Split, cifar10, digits, few_shot, mnist, mnist5k, pooled


@pytest.mark.parametrize(
    ("load", "counts", "shape"), [(digits, (1000, 797), (8, 8)), (mnist5k, (4000, 1000), (28, 28))]
)
def test_packaged_images(load, counts, shape):
    split = load()
    d = shape[0] * shape[1]
    assert (split.train.shape, split.test.shape) == ((counts[0], d), (counts[1], d))
    assert split.shape == shape
    assert split.train.dtype == torch.float32
    assert (float(split.train.min()), float(split.train.max())) == (0.0, 1.0)
    assert 0.1 < float(split.test.mean()) < 0.4


def test_split_depends_on_the_seed_alone():
    first, again, other = digits(), digits(), digits(seed=1)
    assert torch.equal(first.train, again.train)
    assert not torch.equal(first.train, other.train)
    whole = torch.cat([first.train, first.test]).double().sum(0)
    torch.testing.assert_close(whole, torch.cat([other.train, other.test]).double().sum(0))


def write_idx(file, images, *, magic=2051):
    raw = struct.pack(">iiii", magic, *images.shape) + images.tobytes()
    file.write_bytes(gzip.compress(raw) if file.suffix == ".gz" else raw)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_local_mnist(tmp_path, ending):
    images = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    write_idx(tmp_path / f"train-images-idx3-ubyte{ending}", images[:3])
    write_idx(tmp_path / f"t10k-images-idx3-ubyte{ending}", images[3:])
    split = mnist(tmp_path)
    assert split.shape == (2, 3)
    torch.testing.assert_close(split.train, torch.arange(18.0).reshape(3, 6) / 255)
    assert split.test.shape == (2, 6)


def test_broken_mnist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte or .*\.gz in .*nothing"):
        mnist(tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((1, 2, 2), np.uint8), magic=2049)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(ValueError, match="no idx file"):
        mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"short")
    with pytest.raises(ValueError, match="no idx file"):
        mnist(tmp_path)


def test_local_cifar10(tmp_path):
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    for k, name in enumerate(names):
        batch = {b"data": np.full((2, 3072), 51 * k, np.uint8), b"labels": [0, 1]}
        (tmp_path / name).write_bytes(pickle.dumps(batch, protocol=2))
    split = cifar10(str(tmp_path))
    assert split.train.shape == (10, 3072)
    assert split.shape == (3, 32, 32)
    torch.testing.assert_close(split.train[::2, 0], torch.arange(5) / 5)
    assert float(split.test[0, 0]) == 1.0


def test_a_batch_that_would_run_code_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="data_batch_1"):
        cifar10(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": print}))
    with pytest.raises(pickle.UnpicklingError, match="builtins.print"):
        cifar10(tmp_path)


def test_refuses():
    with pytest.raises(ValueError, match="test: got 0"):
        digits(test=0)
    with pytest.raises(ValueError, match="train: got shape"):
        Split(torch.zeros(2, 5), torch.zeros(2, 4), (2, 2))


@pytest.mark.parametrize(("levels", "alpha"), [(2, 0.2), (17, 0.05), (256, 0.05), (1021, 1e-3)])
def test_logits_come_back_as_the_same_pixels(levels, alpha, generator):
    transform = Logits(levels, alpha)
    pixels = torch.randint(levels, (5, 7, 3), generator=generator) / (levels - 1)
    logits = transform(pixels, generator=generator)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(transform.pixels(logits), pixels)
    inside = torch.logit(torch.tensor([alpha, 1 - alpha]))
    assert logits.min() >= inside[0] and logits.max() <= inside[1]
    torch.testing.assert_close(
        transform.pixels(torch.tensor([-50.0, 50.0])), torch.tensor([0.0, 1.0])
    )


def test_pixels_are_drawn_uniformly_within_their_level(generator):
    transform = Logits(4, 0.1)
    logits = transform(torch.full((20_000,), 1 / 3, dtype=torch.float64), generator=generator)
    within = (torch.sigmoid(logits) - 0.1) / 0.8 * 4 - 1
    assert within.min() >= 0 and within.max() < 1
    assert abs(float(within.mean()) - 0.5) < 4 * (1 / 12 / 20_000) ** 0.5
    assert abs(float(within.square().mean()) - 1 / 3) < 4 * (4 / 45 / 20_000) ** 0.5


def test_the_log_volume_is_the_derivative_of_the_transform(generator):
    transform = Logits(17, 0.05)
    level = (17 * torch.rand(6, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    logits = torch.logit(0.05 + 0.9 * level / 17)
    (slope,) = torch.autograd.grad(logits.sum(), level)
    torch.testing.assert_close(transform.log_volume(logits), slope.log().sum(-1))
    far = torch.full((3,), 200.0)
    assert transform.log_volume(far).isfinite()


def test_uniform_pixels_cost_as_many_bits_as_they_have(generator):
    transform = Logits(16, 0.05)
    pixels = torch.randint(16, (50, 9), generator=generator) / 15
    logits = transform(pixels.double(), generator=generator)
    # The law of logits of uniform levels: density 1 / levels per unit of v in each dimension.
    nll = 9 * math.log(16) + transform.log_volume(logits)
    torch.testing.assert_close(transform.bits(nll, logits), torch.full((50,), 4.0).double())


def test_a_few_images_are_drawn_once():
    split = digits()
    few, again, other = (few_shot(split, 16, seed=seed) for seed in (3, 3, 4))
    assert few.train.shape == (16, 64) and few.shape == (8, 8)
    assert few.test is split.test
    assert torch.equal(few.train, again.train) and not torch.equal(few.train, other.train)
    same = (few.train[:, None] == split.train[None]).all(-1)
    assert same.any(1).all() and same.any(0).sum() >= 16


def test_coarse_images_are_means_and_have_grey_levels_of_their_own(generator):
    images = torch.randint(256, (3, 2 * 4 * 6), generator=generator) / 255
    split = pooled(Split(images, images[:1], (2, 4, 6)), 2)
    assert split.shape == (2, 2, 3) and split.test.shape == (1, 12)
    corner = images.reshape(3, 2, 4, 6)[1, 1, 2:, 4:].mean()
    torch.testing.assert_close(split.train.reshape(3, 2, 2, 3)[1, 1, 1, 2], corner)
    Logits(4 * 255 + 1)(split.train, generator=generator)
    with pytest.raises(ValueError, match=r"pixels: allowed are multiples of 1/255"):
        Logits(256)(split.train, generator=generator)


def test_transforms_refuse():
    with pytest.raises(ValueError, match="levels: got 1"):
        Logits(1)
    with pytest.raises(ValueError, match=r"alpha: got 0\.5"):
        Logits(256, 0.5)
    with pytest.raises(ValueError, match=r"pixels: allowed are multiples of 1/16 in \[0, 1\]"):
        Logits(17)(torch.tensor([1.25]), generator=torch.Generator())
    with pytest.raises(ValueError, match=r"n: got 1001, allowed are 1\.\.1000"):
        few_shot(digits(), 1001, seed=0)
    with pytest.raises(ValueError, match="factor: got 3, allowed are divisors of 8 and 8"):
        pooled(digits(), 3)
