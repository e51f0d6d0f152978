"""Train GANs in MindSpore with recipes and callbacks.

``__init__.pyi`` lists the public names. Each is loaded on first use (PEP 562), so that importing the package is
fast and does not import MindSpore.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
