"""Sources of real images, and deterministic randomness; importing this package does not import MindSpore."""
