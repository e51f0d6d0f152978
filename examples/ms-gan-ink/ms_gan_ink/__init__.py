"""Example plugin for ms_gan_callbacks: the mean brightness of images."""
