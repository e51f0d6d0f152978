"""Real images: sources of batches, MNIST, and randomness that needs no saving.

Importing this package does not import MindSpore.
"""
