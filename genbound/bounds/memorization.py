"""A bound on memorization: how much nearer generated samples lie to training than to fresh data.

It speaks of one generated sample, so the information of the sample is the right one and the
generator term bounds it; no constant is left to choose, and a total below 1 says something.
"""

from torch import Tensor

from genbound.arguments import declared
from genbound.bound import Assumption, Bound, Constant, Term
from genbound.bounds.diffusion_terms import path_energy
from genbound.derivations import memorization as proof
from genbound.derivations.generator import n
from genbound.estimate import Estimate, exact
from genbound.estimators import trajectory
from genbound.protocols import ScoreModel

__all__ = ["memorization"]


@declared
def memorization(
    *,
    reference: trajectory.Reference = "prior",
    paths: int = 512,
    step: float = 0.1,
) -> Bound:
    r"""Corollary M: E[ mean_i k(X~, X_i) - k(X~, X) ] <= sqrt(A / (2 n)).

    It holds for every kernel k with values in [0, 1] that was fixed before the data were seen;
    :func:`genbound.estimators.memorization.kernel_gap` measures the left side for a Gaussian
    kernel. X~ is a sample of the reverse chain with this very step: the path energy is
    that of the chain, so nothing is lost to its discretisation.

    Args:
        reference: What the path energy A compares the model's score with: ``"prior"``,
            ``"zero"``, or a score that has not seen the sample, such as
            :func:`genbound.estimators.trajectory.mean_score` of models trained on other samples.
        paths: Simulated reverse paths.
        step: Largest step of the reverse chain in the log signal-to-noise ratio.

    Returns:
        A bound without open constants; it is informative below 1, the range of the kernel.

    Reference:
        Derived here, from the generator term of Chen et al. 2025 (in the spirit of Theorem 6.3).
    """
    return Bound(
        name="memorization",
        theorem=proof.memorization,
        terms=(path_energy(paths, step, reference),),
        constants=(Constant(n, "n", "training samples", known=lambda _, data: len(data)),),
        contract=ScoreModel,
        source="this book, from the generator term of Chen, Zhu and Shkurti 2025",
        assumptions=(
            Assumption("in expectation over the sample: one sample gives an estimate of it"),
            Assumption("the reference has not seen the sample"),
        ),
        unit="of the kernel's range",
        trivial=Term(proof.memorization_gap, "range of the kernel", _range),
    )


def _range(_model: ScoreModel, _data: Tensor, **_: object) -> Estimate:
    return exact(1.0, method="values in [0, 1]")
