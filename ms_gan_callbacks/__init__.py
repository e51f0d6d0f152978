"""Train GANs in MindSpore: a recipe describes, a runner runs, a bus tells, callbacks watch and ask.

``__init__.pyi`` lists the public names. Each is loaded when it is first used (PEP 562), so importing the package
costs nothing, and MindSpore is imported only by what needs it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
