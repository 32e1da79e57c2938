"""Generalization bounds for generative models: derived, computed, compared with the truth.

Letters are proved, words are measured, and a bound is the only place where a proved letter meets a
measured word.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
