"""A U-Net for images that stay flattened outside, as the network of a diffusion model.

It has no batch norm, no dropout and no buffer, so that its ensembles equal its solo runs.
"""

import math

import torch
from torch import Generator, Tensor, nn

from genbound.models.diffusion import N_FEATURES
from genbound.models.networks import MLP

__all__ = ["UNet"]

#: Groups of a group norm, or fewer where they don't divide the channels.
GROUPS = 8


class UNet(nn.Module):
    """Residual blocks down to coarse images and up again, (..., d + features) -> (..., d).

    Level k works on images 2^k times coarser, with width * multiples[k] channels. The last
    convolution starts at 0: as the velocity of a `Diffusion` the untrained network is the score
    of the prior.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int,
        multiples: tuple[int, ...] = (1, 2, 2),
        blocks: int = 1,
        attention: tuple[int, ...] = (),
        features: int = N_FEATURES,
        generator: Generator,
    ) -> None:
        """Draw the weights.

        Args:
            shape: Shape of one image, (rows, columns) or (channels, rows, columns).
            width: Channels of the finest level.
            multiples: Channels of each level in multiples of the width.
            blocks: Residual blocks of each level on the way down, and again on the way up.
            attention: Levels are given attention where their images have so many rows; the
                coarsest always is, between its two ways.
            features: Numbers beside the d coordinates that tell of the noise level.
            generator: The source of the weights; the network lives where it lives.

        Raises:
            ValueError: If a size is not positive, or rows or columns cannot be halved so often.
        """
        super().__init__()
        self.shape = (1, *shape) if len(shape) == 2 else tuple(shape)
        sizes = {"width": width, "blocks": blocks, "features": features}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if not multiples or min(multiples) < 1:
            raise ValueError(f"multiples must be one or more positive numbers, got {multiples}")
        coarsest = 2 ** (len(multiples) - 1)
        if (
            len(self.shape) != 3
            or min(self.shape) < 1
            or any(s % coarsest for s in self.shape[1:])
        ):
            allowed = f"rows and columns in multiples of {coarsest}"
            raise ValueError(f"shape: got {tuple(shape)}, allowed are {allowed}")
        channels, rows, _ = self.shape
        told = 4 * width
        widths = [width * multiple for multiple in multiples]

        def level(inputs: list[int], outputs: int, depth: int) -> nn.ModuleList:
            return nn.ModuleList(
                _Block(c, outputs, told, attend=rows >> depth in attention, generator=generator)
                for c in inputs
            )

        self.tell = MLP(features, told, told, 1, generator=generator)
        self.enter = _convolution(channels, width, generator)
        self.down, self.coarsen = nn.ModuleList(), nn.ModuleList()
        current, left = width, [width]
        for depth, outputs in enumerate(widths):
            inputs = [current, *[outputs] * (blocks - 1)]
            self.down.append(level(inputs, outputs, depth))
            left += [outputs] * blocks
            current = outputs
            if depth < len(widths) - 1:
                self.coarsen.append(_convolution(outputs, outputs, generator, stride=2))
                left.append(outputs)
        self.middle = nn.ModuleList(
            _Block(current, current, told, attend=first, generator=generator)
            for first in (True, False)
        )
        self.up, self.refine = nn.ModuleList(), nn.ModuleList()
        for depth, outputs in reversed(list(enumerate(widths))):
            inputs = []
            for _ in range(blocks + 1):
                inputs.append(current + left.pop())
                current = outputs
            self.up.append(level(inputs, outputs, depth))
            if depth:
                self.refine.append(_convolution(outputs, outputs, generator))
        self.leave = nn.Sequential(
            _norm(current, generator), nn.SiLU(), _convolution(current, channels, generator)
        )
        with torch.no_grad():
            for parameter in self.leave[-1].parameters():
                parameter.zero_()

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's values.

        Args:
            inputs: Flattened images beside the features of their noise levels,
                (..., d + features).

        Returns:
            Flattened images, (..., d).
        """
        d = math.prod(self.shape)
        flat = inputs.reshape(-1, inputs.shape[-1])
        told = self.tell(flat[:, d:])
        state = self.enter(flat[:, :d].reshape(-1, *self.shape))
        left = [state]
        for depth, level in enumerate(self.down):
            for block in level:
                state = block(state, told)
                left.append(state)
            if depth < len(self.coarsen):
                state = self.coarsen[depth](state)
                left.append(state)
        for block in self.middle:
            state = block(state, told)
        for depth, level in enumerate(self.up):
            for block in level:
                state = block(torch.cat([state, left.pop()], 1), told)
            if depth < len(self.refine):
                state = self.refine[depth](_doubled(state))
        return self.leave(state).reshape(*inputs.shape[:-1], d)


class _Block(nn.Module):
    """Two convolutions beside a shortcut, with the noise level between them; then attention."""

    def __init__(
        self, inputs: int, outputs: int, told: int, *, attend: bool, generator: Generator
    ) -> None:
        super().__init__()
        self.first = nn.Sequential(
            _norm(inputs, generator), nn.SiLU(), _convolution(inputs, outputs, generator)
        )
        self.shift = nn.Sequential(nn.SiLU(), MLP(told, outputs, 1, 0, generator=generator))
        self.second = nn.Sequential(
            _norm(outputs, generator), nn.SiLU(), _convolution(outputs, outputs, generator)
        )
        same = inputs == outputs
        self.short = nn.Identity() if same else _convolution(inputs, outputs, generator, kernel=1)
        self.attend = _Attention(outputs, generator) if attend else nn.Identity()

    def forward(self, state: Tensor, told: Tensor) -> Tensor:
        hidden = self.first(state) + self.shift(told)[:, :, None, None]
        return self.attend(self.short(state) + self.second(hidden))


class _Attention(nn.Module):
    """Every pixel looks at all pixels, one head, beside a shortcut."""

    def __init__(self, channels: int, generator: Generator) -> None:
        super().__init__()
        self.norm = _norm(channels, generator)
        self.project = _convolution(channels, 3 * channels, generator, kernel=1)
        self.leave = _convolution(channels, channels, generator, kernel=1)

    def forward(self, state: Tensor) -> Tensor:
        query, key, value = self.project(self.norm(state)).flatten(2).chunk(3, 1)
        weight = torch.softmax(query.mT @ key / query.shape[1] ** 0.5, -1)
        return state + self.leave((value @ weight.mT).reshape(state.shape))


def _doubled(state: Tensor) -> Tensor:
    """Each pixel four times."""
    *leading, rows, columns = state.shape
    wide = state[..., :, None, :, None].expand(*leading, rows, 2, columns, 2)
    return wide.reshape(*leading, 2 * rows, 2 * columns)


def _norm(channels: int, generator: Generator) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels, device=generator.device)


def _convolution(
    inputs: int, outputs: int, generator: Generator, *, kernel: int = 3, stride: int = 1
) -> nn.Conv2d:
    """A convolution with weights uniform on [-1/sqrt(f), 1/sqrt(f)], f inputs of each output."""
    layer = nn.utils.skip_init(
        nn.Conv2d,
        inputs,
        outputs,
        kernel_size=kernel,
        stride=stride,
        padding=kernel // 2,
        device=generator.device,
    )
    bound = (inputs * kernel**2) ** -0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer
