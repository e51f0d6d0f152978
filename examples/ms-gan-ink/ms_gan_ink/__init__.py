"""A plugin for ms_gan_callbacks: how much ink images hold."""
