"""Quality metrics that need no network: pure functions of a real and a fake :class:`Sample`.

Importing this package imports NumPy and SciPy, but not MindSpore.
"""
