"""Files of a run; every file is written atomically."""
