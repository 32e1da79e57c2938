"""What every test may use: a seeded generator, the devices, and repeatable examples."""

import os
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

pytest_plugins = ["site_fixture"]

# Verdicts of the tests, and of the chapters that they run, stay out of the user's own.
os.environ["GENBOUND_VERDICTS"] = str(Path(__file__).parents[1] / "_build" / "verdicts")

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")
torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Have two workers prove the book's lines from both ends, so that none is proved twice."""
    if worker := getattr(config, "workerinput", None):
        from genbound import derivations

        found = pkgutil.walk_packages(derivations.__path__, f"{derivations.__name__}.")
        names = [module.name for module in found]
        for name in names if worker["workerid"] == "gw0" else reversed(names):
            import_module(name)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20250600)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return torch.device(request.param)
