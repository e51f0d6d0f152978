"""Self-contained HTML pages: templates with one style and one script, and images as data."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

MOST_BYTES = 2_500_000
"""Maximum size of the images of a page, before they are encoded as text."""
MOST_IMAGES = 40
FORMS = ((True, None), (False, 900), (False, 450), (False, 225))
"""Forms of images, the best first: whether lossless, and the maximum length of the longer side in pixels."""


@dataclass(frozen=True)
class Picture:
    """An image of a page, with its size, and the title below it."""

    data: str
    width: int
    height: int
    title: str


def render_page(template: str, **values: Any) -> bytes:
    """Return a page made from a template of this package; all values are escaped.

    Args:
        template: name of the template.
        **values: the values that it uses.
    """
    loader = PackageLoader("ms_gan_callbacks.results", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = format_number
    return (
        environment.get_template(template)
        .render(version=read_version(), **values)
        .encode("utf-8", "backslashreplace")
    )


def read_version() -> str:
    """Return the version of this package, or "unknown" if it is not installed."""
    try:
        return version("ms-gan-callbacks")
    except PackageNotFoundError:
        return "unknown"


def choose_evenly(items: Sequence[Any], most: int = MOST_IMAGES) -> list[Any]:
    """Return at most ``most`` items at even distances, among them the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def embed_images(images: Sequence[tuple[Image.Image, str]]) -> list[Picture]:
    """Return images and their titles as data of a page.

    They are lossless if MOST_BYTES are enough for as many images like the last one, else compressed and reduced.
    """
    image, title = images[-1]
    for lossless, side in FORMS:
        if len(_embed(image, title, lossless, side).data) * 3 / 4 * len(images) <= MOST_BYTES:
            break
    return [_embed(image, title, lossless, side) for image, title in images]


def _embed(image: Image.Image, title: str, lossless: bool, side: int | None) -> Picture:
    if side is not None and max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", lossless=lossless, quality=75, method=2)
    data = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(data, *image.size, title)


def format_number(value: Any) -> str:
    """Format a number with at most seven characters, and any other value as text."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 100_000:
        return f"{value:.1e}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 4
    return f"{value:.{digits}f}" if value != round(value) else f"{value:.0f}"
