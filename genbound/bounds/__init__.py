"""The theorems, assembled: a derivation and an estimator for each of its letters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
