"""A file from which only the run that wrote it goes on.

A run is known by its identity, a dict of strings and numbers; a file with another identity is
refused. Files appear whole or not at all.
"""

import pickle
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves  # the trees of torch.func: what a sample may be

from genbound.files import whole

Identity = Mapping[str, str | int | None]


def save(path: Path, identity: Identity, state: Mapping[str, Any]) -> None:
    """Write a state, atomically: a reader sees the old file or the new one.

    Args:
        path: The file; its folder is made if missing.
        identity: What the run is.
        state: Nested dicts and lists of tensors and numbers.
    """
    with whole(path) as draft:
        torch.save({"identity": dict(identity), "state": dict(state)}, draft)


def load(path: Path, identity: Identity, *, device: torch.device | str) -> dict[str, Any] | None:
    """Read the state that `save` wrote.

    Args:
        path: The file.
        identity: What the run is that wants to go on.
        device: Where the tensors shall live.

    Returns:
        The state, or None if there is no such file.

    Raises:
        ValueError: If the file is no checkpoint or belongs to another run; names what differs.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        saved, state = content["identity"], content["state"]
    except (EOFError, KeyError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise ValueError(f"checkpoint: {path} can't be read as one ({error})") from error
    differing = sorted(key for key in {*saved, *identity} if saved.get(key) != identity.get(key))
    if differing:
        raise ValueError(
            f"checkpoint: {path} belongs to another run, which differs in {', '.join(differing)}"
        )
    return state


def checksum(tree: Any) -> int:  # noqa: ANN401
    """A 32-bit checksum of the tensors of a tree: their values, shapes and types."""
    total = 0
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor):
            total = zlib.crc32(f"{tuple(leaf.shape)} {leaf.dtype}".encode(), total)
            content = leaf.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            total = zlib.crc32(memoryview(content.numpy()), total)
    return total
