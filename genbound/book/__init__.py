"""The machine that builds the book: chapters run only where something changed, then one site.

A build reads every page that `_toc.yml` lists and checks the parameters that it was given. A
chapter's fingerprint (its text, parameters, imported sources and environment) names its notebook
in `_build/cache/`; those that are missing there are run, each in a process of its own. Then the
pages with the executed notebooks are rendered as `_build/html/`, if anything on them changed.

- `build`: the whole of it, and `run` for one chapter; failures leave the last good site;
- `chapters`: what a chapter's text declares, and the profiles;
- `parameters`, `conditions`: typed values, checked before anything runs;
- `fingerprint`: what a chapter's output depends on;
- `execute`: from text to an executed notebook; runs as a script, without the package;
- `runs`: chapters at work, several at once;
- `tables`: what chapters keep of a long run, written to `book/results/`;
- `history`: what ran, when and for how long, and the status page;
- `site`: Jupyter Book, and the exchange of the old pages for the new.

Nothing here is imported by a chapter, and nothing here imports mathematics.
"""

from genbound.book.build import Built, Outcome, build, run
from genbound.book.parameters import ParameterError
from genbound.book.runs import BookError

__all__ = ["BookError", "Built", "Outcome", "ParameterError", "build", "run"]
