"""Interoperability with ``mindspore.train``: its callbacks in a run, this package's callbacks in a ``Model``."""
