"""Verdicts that outlive a process, so that importing a book of proofs takes seconds.

A claim is the exact text of both sides, of the domain and of the witness, with all assumptions.
Its verdict is kept beside the version of SymPy and a digest of this package's sources; when any of
these changes, the claim is checked again. Refuted claims are never kept.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

import sympy as sp
from platformdirs import user_cache_path

from genbound.files import whole
from genbound.symbolic.points import Domain, Relation
from genbound.symbolic.relations import Verdict, verify

__all__ = ["FOLDER", "verify_once"]

#: The environment variable that names the folder of verdicts; empty: none are kept.
FOLDER = "GENBOUND_VERDICTS"


def verify_once(
    relation: Relation,
    left: sp.Expr,
    right: sp.Expr,
    *,
    domain: Domain | None = None,
    witness: Mapping[sp.Expr, sp.Expr] | None = None,
) -> Verdict:
    """As :func:`verify`, which is asked only if it has not settled this claim before.

    Args:
        relation: ``"="``, ``"<="`` or ``">="``.
        left: Left side.
        right: Right side.
        domain: As for :func:`verify`.
        witness: As for :func:`verify`.

    Returns:
        The verdict.

    Raises:
        Refuted: If a point contradicts the relation.
        Undecided: If too few points of the domain give real values.
        ValueError: If ``relation`` is not one of the three.
    """
    path = _path(relation, sp.srepr(left), sp.srepr(right), _sorted(domain), _sorted(witness))
    if path is not None:
        # Whatever can't be read is checked again.
        with suppress(OSError, ValueError, TypeError):
            return Verdict(**json.loads(path.read_text(encoding="utf-8")))
    verdict = verify(relation, left, right, domain=domain, witness=witness)
    if path is not None:
        # A folder that can't be written costs time, and nothing else.
        with suppress(OSError), whole(path) as partial:
            partial.write_text(json.dumps(asdict(verdict)), encoding="utf-8")
    return verdict


def _sorted(pairs: Mapping | None) -> str:
    return "; ".join(sorted(f"{sp.srepr(key)}: {sp.srepr(pairs[key])}" for key in pairs or {}))


def _path(*claim: str) -> Path | None:
    folder = os.environ.get(FOLDER, str(user_cache_path("genbound") / "verdicts"))
    if not folder:
        return None
    digest = hashlib.sha256("\n".join((*claim, sp.__version__, _sources())).encode())
    return Path(folder, f"{digest.hexdigest()}.json")


@cache
def _sources() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
