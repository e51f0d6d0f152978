"""The commands of ``ms-gan``; each module defines one as ``command``."""
