"""Bounds for diffusion models: the paper's form, its tight replacement, the computable one.

Each function configures a :class:`genbound.bound.Bound` that evaluates on any
:class:`genbound.protocols.ScoreModel` of a variance-preserving process. Source throughout: Chen,
Zhu and Shkurti 2025 (arXiv 2506.00849) and the derivations of this package.
"""

import sympy as sp
from torch import Tensor

from genbound.arguments import declared
from genbound.bound import Assumption, Bound, Constant, Term
from genbound.bounds import diffusion_terms as measured
from genbound.derivation import Derivation
from genbound.derivations import diffusion as proof
from genbound.derivations.change_of_measure import information, scale
from genbound.estimators import released, score_matching, trajectory
from genbound.protocols import ScoreModel

__all__ = ["diffusion_kl", "diffusion_kl_released", "diffusion_kl_tight", "diffusion_nll"]

_EXPECTATION = Assumption("in expectation over the sample: one sample gives an estimate of it")
_TAIL = Assumption("the denoising loss is left-R-sub-Gaussian for independent weights and datum")
_CONTINUOUS = Assumption("the reverse process runs in continuous time; the bound ignores its step")

_N = Constant(proof.n, "n", "training samples", known=lambda _, data: len(data))
_D = Constant(proof.d, "d", "data dimension", known=lambda _, data: data.shape[-1])
_SIGMA2_MIN = Constant(
    proof.sigma2_min,
    "sigma2_min",
    "noise variance at t_min",
    known=lambda model, _: float(model.process.moments(model.t_min)[1]) ** 2,
)
_SCALE = Constant(
    scale, "R", "left-sub-Gaussian constant of the loss, see score_matching.left_scale"
)
_INFORMATION = Constant(
    information,
    "information",
    "mean over i of I(theta; X_i) in nats, or I(theta; S) / n, which is larger",
)


@declared
def diffusion_kl(
    *,
    draws: int = 64,
    paths: int = 512,
    step: float = 0.1,
    reference: trajectory.Reference = "zero",
) -> Bound:
    r"""The paper's form: KL(P_eps || p_theta) with sub-Gaussian constants on two terms.

    Args:
        draws: Monte Carlo draws per datum.
        paths: Simulated reverse paths for the generator term.
        step: Largest step of the reverse chain in the log signal-to-noise ratio.
        reference: Score that the generating path is compared with: ``"zero"`` as in the paper, or
            ``"prior"``, the score -x, against which the term ceases to grow with the horizon, or
            a score that has not seen the sample.

    Returns:
        A bound with constants ``R_encoder`` and ``R_generator``.

    Reference:
        Chen et al. 2025, in the spirit of Theorems 6.2 and 6.3, with likelihood weights and the
        score of the model's own reverse path.
    """
    return Bound(
        name="diffusion_kl",
        theorem=proof.paper,
        terms=(
            measured.explicit(draws),
            measured.encoder_information(draws),
            measured.noised_root_rate(draws),
            measured.path_energy(paths, step, reference),
        ),
        constants=(
            Constant(proof.scale_encoder, "R_encoder", "sub-Gaussian constant under the prior"),
            Constant(proof.scale_generator, "R_generator", "the same under the data"),
            _N,
        ),
        contract=ScoreModel,
        source="Chen, Zhu and Shkurti 2025, in the spirit of Theorems 6.2 and 6.3",
        assumptions=(
            _EXPECTATION,
            Assumption("both constants bound the loss's left tail; no data can show that"),
            Assumption("the information of a generated sample stands in for that of the weights"),
            _CONTINUOUS,
        ),
        trivial=measured.prior_kl(draws),
    )


@declared
def diffusion_kl_tight(*, draws: int = 64, held_out: Tensor | None = None) -> Bound:
    r"""Theorem D+: KL(P_eps || p_theta) with encoder and prior combined exactly.

    Args:
        draws: Monte Carlo draws per datum.
        held_out: Data that the model has not seen, shape ``(m, d)``. With them the gap is
            measured and no constant is needed; without, it is bounded by ``R sqrt(2 I)``.

    Returns:
        A bound; its constants are ``R`` and ``information`` unless ``held_out`` is given.

    Reference:
        Derived here from the ingredients of Chen et al. 2025: no Jensen step, no root of the rate.
    """
    terms = (measured.explicit(draws), measured.encoder_information(draws), measured.RATE)
    return _with_gap(
        "diffusion_kl_tight",
        (proof.tight, proof.tight_held_out),
        terms,
        (),
        draws=draws,
        held_out=held_out,
        trivial=measured.prior_kl(draws),
    )


@declared
def diffusion_nll(*, draws: int = 64, held_out: Tensor | None = None) -> Bound:
    r"""Theorem E: test negative log-likelihood at t_min, every letter computed from the sample.

    Args:
        draws: Monte Carlo draws per datum.
        held_out: As for :func:`diffusion_kl_tight`.

    Returns:
        A bound in nats per datum; divide by ``d log 2`` for bits per dimension.

    Reference:
        Derived here: the conditional path bound of Song et al. 2021, and the gap.
    """
    return _with_gap(
        "diffusion_nll",
        (proof.nll_information, proof.nll_held_out),
        (
            measured.over_data(
                proof.dsm_hat, "denoising score-matching loss", score_matching.denoising, draws
            ),
            measured.RATE,
        ),
        (_D, _SIGMA2_MIN),
        draws=draws,
        held_out=held_out,
        trivial=measured.prior_nll(),
    )


@declared
def diffusion_kl_released(*, draws: int = 64, steps: int = 200) -> Bound:
    """What the released code of the paper evaluates: for comparison, not a bound.

    Args:
        draws: Monte Carlo draws per datum.
        steps: Euler-Maruyama steps for the score norm.

    Returns:
        The same formula with its terms as coded: a noise scale in place of a variance, an
        unweighted loss, and a batch-mean score norm along a path that runs the wrong way.
    """
    theorem = Derivation.of(
        proof.kl,
        proof.esm_hat
        - proof.info_end_hat
        + sp.sqrt(2) * proof.scale_encoder * proof.root_rate
        + proof.scale_generator * sp.sqrt(2 * proof.energy / proof.n),
        by="as coded",
    )
    return Bound(
        name="diffusion_kl_released",
        theorem=theorem,
        terms=(
            measured.over_data(
                proof.esm_hat, "unweighted noise-prediction loss", released.epsilon_loss, draws
            ),
            measured.of_encoder(
                proof.info_end_hat,
                "encoder term, scale for variance",
                released.mixture_term,
                "horizon",
                draws,
            ),
            measured.ROOT_RATE,
            measured.released_energy(steps),
        ),
        constants=(
            Constant(proof.scale_encoder, "R_encoder", "set by hand in the released code"),
            Constant(proof.scale_generator, "R_generator", "set by hand in the released code"),
            _N,
        ),
        contract=ScoreModel,
        source="released code of Chen, Zhu and Shkurti 2025",
        holds="ranking only",
    )


def _with_gap(
    name: str,
    theorems: tuple[Derivation, Derivation],
    terms: tuple[Term, ...],
    constants: tuple[Constant, ...],
    *,
    draws: int,
    held_out: Tensor | None,
    trivial: Term,
) -> Bound:
    bounded, with_gap = theorems
    if held_out is None:
        assumptions = (_EXPECTATION, _TAIL, _CONTINUOUS)
        constants = (_SCALE, _INFORMATION, *constants)
        theorem = bounded
    else:
        assumptions = (_EXPECTATION, Assumption("held-out data are fresh draws of P"), _CONTINUOUS)
        terms = (*terms, measured.held_out_gap(held_out, draws))
        theorem = with_gap
    return Bound(
        name=name,
        theorem=theorem,
        terms=terms,
        constants=constants,
        contract=ScoreModel,
        source="this book, from the ingredients of Chen, Zhu and Shkurti 2025",
        assumptions=assumptions,
        trivial=trivial,
    )
