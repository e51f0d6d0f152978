"""Lets ``python -m ms_gan_callbacks`` be ``ms-gan``."""

from ms_gan_callbacks.cli import main

main()
