"""What is made of a trained run: images, reports and plots."""
