"""The commands of ``ms-gan``, one module each, which defines ``command``."""
