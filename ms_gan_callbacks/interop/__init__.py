"""A citizen of MindSpore's world: its callbacks in our runs, our callbacks in its ``Model``."""
