"""Encodes frames with captions as an animated GIF or WebP, or as an MP4 video."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO

from PIL import Image, ImageDraw, ImageFont

from ms_gan_callbacks.errors import GanError, UsageError, extract_message
from ms_gan_callbacks.results.frames import Frame

ENDINGS = (".gif", ".webp", ".mp4")
MARGIN = 6
"""Pixels around a caption."""
QUALITY = 80
"""Quality of WebP frames, 0 to 100."""


def check_encoder(ending: str) -> None:
    """Raise UsageError if an additional package is needed for a type of file and is not installed."""
    if ending == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise UsageError(
            "video in .mp4 needs imageio-ffmpeg: pip install 'ms-gan-callbacks[video]', or write .gif or .webp"
        )


def encode(file: IO[bytes], ending: str, frames: Sequence[Frame], fps: float, hold: float = 0.0) -> None:
    """Write frames to a file; smaller frames are centred on black.

    Args:
        file: the file, opened for writing.
        ending: the type of the file: .gif, .webp or .mp4.
        frames: at least one frame.
        fps: frames per second.
        hold: seconds for which the last frame is shown in addition.

    Raises:
        GanError: the video cannot be encoded.
    """
    images = list(_draw_captions(frames))
    if ending == ".mp4":
        _write_video(file, chain(images, [images[-1]] * round(hold * fps)), images[0].size, fps)
        return
    durations = [round(1000 / fps)] * len(images)
    durations[-1] += round(1000 * hold)
    options = {"quality": QUALITY, "method": 4} if ending == ".webp" else {"disposal": 1}
    images[0].save(
        file,
        format=ending[1:].upper(),
        save_all=True,
        append_images=images[1:],
        duration=durations,
        loop=0,
        **options,
    )


def _draw_captions(frames: Sequence[Frame]) -> Iterator[Image.Image]:
    """Yield frames of one size and mode with their captions below the image, in white on black."""
    width = max(frame.image.width for frame in frames)
    height = max(frame.image.height for frame in frames)
    mode = "L" if all(frame.image.mode == "L" for frame in frames) else "RGB"
    font = _fit_font([frame.caption for frame in frames], width - 2 * MARGIN)
    below = sum(font.getmetrics()) + 2 * MARGIN
    size = (width + width % 2, height + below + (height + below) % 2)  # video needs even numbers
    for frame in frames:
        page = Image.new(mode, size)
        page.paste(frame.image, ((width - frame.image.width) // 2, (height - frame.image.height) // 2))
        draw = ImageDraw.Draw(page)
        draw.text((MARGIN, height + MARGIN), frame.caption, fill="white", font=font)
        yield page


def _fit_font(captions: Iterable[str], width: int) -> ImageFont.FreeTypeFont:
    """Return the largest font, of 8 to 20 pixels, in which all captions fit into a width if possible."""
    from matplotlib.font_manager import findfont  # Pillow's own font depends on how it was built

    longest, path = max(captions, key=len), findfont("DejaVu Sans")
    sizes = (ImageFont.truetype(path, size) for size in range(20, 8, -1))
    return next((font for font in sizes if font.getlength(longest) <= width), ImageFont.truetype(path, 8))


def _write_video(file: IO[bytes], images: Iterable[Image.Image], size: tuple[int, int], fps: float) -> None:
    from imageio_ffmpeg import write_frames

    with tempfile.TemporaryDirectory(prefix="ms-gan-") as folder:
        path = Path(folder) / "video.mp4"
        # yuv420p, which all browsers play; macro blocks would resize the frames to multiples of 16.
        writer = write_frames(str(path), size, fps=fps, macro_block_size=2, quality=8, ffmpeg_log_level="error")
        try:
            writer.send(None)
            for image in images:
                writer.send(image.convert("RGB").tobytes())
            writer.close()
        except (OSError, RuntimeError) as error:
            raise GanError(f"the video cannot be encoded: {extract_message(error)}") from error
        file.write(path.read_bytes())
