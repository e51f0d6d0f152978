"""ink_gap: compares the mean brightness of real and generated images."""

from ms_gan_callbacks import Sample, lower_is_better


@lower_is_better
def ink_gap(real: Sample, fake: Sample) -> float:
    """Return the absolute difference in mean brightness: 0 for equal, 1 for white against black."""
    return abs(float(real.images.mean() - fake.images.mean())) / 255
