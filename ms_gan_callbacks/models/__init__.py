"""The networks, their losses and optimizers, and the compiled training step."""
