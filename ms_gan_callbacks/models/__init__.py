"""What is trained: both networks, their losses, their optimizers and the compiled training step."""
