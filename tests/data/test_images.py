"""Images: what comes with packages, and readers of local files on files written here."""

import gzip
import pickle
import struct

import numpy as np
import pytest
import torch

from genbound.data import Split, cifar10, digits, mnist, mnist5k


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
