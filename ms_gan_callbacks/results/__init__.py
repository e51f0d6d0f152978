"""Results of a trained run: images, reports and plots."""
