"""Small convolutional networks for images: an encoder's and a decoder's half.

Images stay flattened outside, (..., channels rows columns), as everywhere in the package; weights
come from an explicit generator.
"""

import math
from typing import Any

import torch
from torch import Generator, Tensor, nn

from genbound.models.networks import MLP

__all__ = ["ConvDecoder", "ConvEncoder"]


class ConvEncoder(nn.Module):
    """Two strided convolutions and a linear map, (..., d) -> (..., outputs).

    The image becomes width x h/2 x w/2, then 2 width x h/4 x w/4, then a vector.
    """

    def __init__(
        self, shape: tuple[int, ...], outputs: int, width: int, *, generator: Generator
    ) -> None:
        """Draw the weights.

        Args:
            shape: Shape of one image, (rows, columns) or (channels, rows, columns).
            outputs: Numbers per image; 2 k for the encoder of a VAE.
            width: Channels after the first convolution.
            generator: The source of the weights; the network lives where it lives.

        Raises:
            ValueError: If rows or columns are no multiples of 4, or a size is not positive.
        """
        super().__init__()
        self.shape = _image(shape)
        channels, rows, columns = self.shape
        _check(outputs=outputs, width=width)
        self.layers = nn.Sequential(
            _drawn(nn.Conv2d, channels, width, generator),
            nn.SiLU(),
            _drawn(nn.Conv2d, width, 2 * width, generator),
            nn.SiLU(),
            nn.Flatten(),
            MLP(2 * width * rows * columns // 16, outputs, 1, 0, generator=generator),
        )

    def forward(self, data: Tensor) -> Tensor:
        """The vectors of flattened images (..., d), (..., outputs)."""
        batch = data.shape[:-1]
        return self.layers(data.reshape(-1, *self.shape)).reshape(*batch, -1)


class ConvDecoder(nn.Module):
    """A linear map and two transposed convolutions, (..., inputs) -> (..., d)."""

    def __init__(
        self, inputs: int, shape: tuple[int, ...], width: int, *, generator: Generator
    ) -> None:
        """Draw the weights.

        Args:
            inputs: Numbers per image; k for the decoder of a VAE.
            shape: Shape of one image, (rows, columns) or (channels, rows, columns).
            width: Channels before the last convolution.
            generator: The source of the weights; the network lives where it lives.

        Raises:
            ValueError: If rows or columns are no multiples of 4, or a size is not positive.
        """
        super().__init__()
        channels, rows, columns = _image(shape)
        _check(inputs=inputs, width=width)
        small = (2 * width, rows // 4, columns // 4)
        self.layers = nn.Sequential(
            MLP(inputs, math.prod(small), 1, 0, generator=generator),
            nn.SiLU(),
            nn.Unflatten(1, small),
            _drawn(nn.ConvTranspose2d, 2 * width, width, generator),
            nn.SiLU(),
            _drawn(nn.ConvTranspose2d, width, channels, generator),
            nn.Flatten(),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Flattened images (..., d) from vectors (..., inputs)."""
        batch = latent.shape[:-1]
        return self.layers(latent.reshape(-1, latent.shape[-1])).reshape(*batch, -1)


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    channels, rows, columns = (1, *shape) if len(shape) == 2 else shape
    if channels < 1 or min(rows, columns) < 4 or rows % 4 or columns % 4:
        raise ValueError(f"shape: got {shape}, allowed are rows and columns in multiples of 4")
    return channels, rows, columns


def _check(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def _drawn(layer: Any, inputs: int, outputs: int, generator: Generator) -> nn.Module:  # noqa: ANN401
    """A layer of stride 2, its weights uniform on [-1/sqrt(f), 1/sqrt(f)] with f inputs."""
    made = nn.utils.skip_init(
        layer, inputs, outputs, kernel_size=4, stride=2, padding=1, device=generator.device
    )
    # A pixel of a transposed convolution is reached by 2 x 2 of the 16 weights of each channel.
    reach = 16 if layer is nn.Conv2d else 4
    bound = (reach * inputs) ** -0.5
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return made
