"""Everything on disk: each file is written whole or not at all."""
