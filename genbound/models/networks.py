"""Plain networks: input and output are tensors, weights come from an explicit generator."""

import torch
from torch import Generator, nn


class MLP(nn.Sequential):
    """A multilayer perceptron with SiLU activations, (..., d_in) -> (..., d_out).

    Weights and biases are uniform on [-1/sqrt(f), 1/sqrt(f)], f the layer's number of inputs.
    The network lives where the generator lives.
    """

    def __init__(
        self, d_in: int, d_out: int, width: int, depth: int, *, generator: Generator
    ) -> None:
        """Draw the weights.

        Args:
            d_in: Number of inputs.
            d_out: Number of outputs.
            width: Units of each hidden layer.
            depth: Number of hidden layers; 0 is a linear map.
            generator: The source of the weights.

        Raises:
            ValueError: If a size is not positive or the depth is negative.
        """
        for name, size in {"d_in": d_in, "d_out": d_out, "width": width}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        if depth < 0:
            raise ValueError(f"depth must be at least 0, got {depth}")
        sizes = [d_in, *[width] * depth, d_out]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            layers += [_linear(inputs, outputs, generator), nn.SiLU()]
        super().__init__(*layers[:-1])


def _linear(inputs: int, outputs: int, generator: Generator) -> nn.Linear:
    # skip_init, because the layer's own initialisation would draw from the global generator.
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, device=generator.device)
    bound = inputs**-0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer
