"""Measures the ink of generated images beside that of real ones."""

from ms_gan_callbacks import Sample, lower_is_better


@lower_is_better
def ink_gap(real: Sample, fake: Sample) -> float:
    """Return how much more or less ink the fakes hold: 0 for as much, 1 for white beside black."""
    return abs(float(real.images.mean() - fake.images.mean())) / 255
