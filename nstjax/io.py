"""Pictures and files: reading what people have, writing so that nothing is ever half there."""

import contextlib
import dataclasses
import hashlib
import importlib.resources
import importlib.util
import io
import json
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from nstjax.errors import UserError, nearest

MAX_PIXELS = 128_000_000
# Photographs that scikit-image carries in its package, by the name used here.
PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "motorcycle": "motorcycle_left.png",
    "rocket": "rocket.jpg",
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as it lies on disk.

    Attributes:
      name: as it was asked for.
      pixels: [H, W, 3] uint8 sRGB, upright.
      sha256: of the file.
      notes: what was done to it that a person may want to know.
    """

    name: str
    pixels: np.ndarray
    sha256: str
    notes: tuple[str, ...] = ()


def example_names():
    """The pictures that `example:NAME` reaches: paintings of the package, photographs of scikit-image."""
    paintings = [p.name[:-4] for p in _examples().iterdir() if p.name.endswith(".jpg")]
    return tuple(sorted(paintings) + sorted(PHOTOGRAPHS))


def load_picture(name):
    """Reads a picture: any mode and depth that Pillow knows, EXIF rotation applied, alpha over white.

    Args:
      name: a path, or `example:NAME`.

    Returns:
      `Picture`.

    Raises:
      UserError: for a file that is missing, not a picture, truncated, or has over `MAX_PIXELS` pixels.
    """
    data = _example_bytes(name) if name.startswith("example:") else _file_bytes(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            notes = []
            if getattr(image, "n_frames", 1) > 1:
                notes.append(f"the first of {image.n_frames} frames is used")
            if image.getexif().get(0x0112, 1) != 1:
                notes.append("rotated as its EXIF orientation says")
                image = ImageOps.exif_transpose(image)
            pixels = _to_rgb(image, notes)
    except Image.DecompressionBombError:
        raise UserError(
            f"picture {name}: too large to decode; the most is {MAX_PIXELS / 1e6:.0f} megapixels"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"picture {name}: not a picture in a known format") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise UserError(f"picture {name}: cannot be decoded ({error})") from None
    return Picture(name, pixels, hashlib.sha256(data).hexdigest(), tuple(notes))


def fit_size(height, width, long_side):
    """(height, width) with the aspect ratio kept and the longer side as given, at least 1 each."""
    scale = long_side / max(height, width)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def resize(pixels, height, width):
    """Picture [H, W, 3] uint8 to [height, width, 3] float32 in [0, 1] by an antialiased Lanczos filter."""
    if pixels.shape[:2] != (height, width):
        image = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
    return pixels.astype(np.float32) / 255


def resize_to_cover(pixels, height, width):
    """Picture [H, W, 3] uint8 to [height, width, 3] float32 in [0, 1], scaled to cover, centre cropped."""
    image = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).astype(np.float32) / 255


def to_uint8(image):
    """Image [H, W, 3] float, clipped to [0, 1] and rounded to uint8."""
    return np.rint(np.clip(np.asarray(image, np.float32), 0, 1) * 255).astype(np.uint8)


def encode_png(image, label=""):
    """PNG bytes of an image [H, W, 3] in [0, 1], with a label in its text chunk `Comment`."""
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    if label:
        text.add_text("Comment", label)
    Image.fromarray(to_uint8(image)).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def write_atomic(path, data):
    """Writes bytes or text to a path: after a crash the old content or the new is there, never a part.

    Raises:
      UserError: where the file cannot be written (no space, no permission).
    """
    path = Path(path)
    data = data.encode() if isinstance(data, str) else data
    with writing(path):
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(part, 0o666 & ~_umask())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise


def write_json(path, value):
    """Writes a value as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2) + "\n")


@contextlib.contextmanager
def writing(path):
    """Turns an operating system's refusal to write into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _examples():
    return importlib.resources.files("nstjax") / "examples"


def _example_bytes(name):
    key = name.removeprefix("example:")
    if key in PHOTOGRAPHS:
        if importlib.util.find_spec("skimage") is None:
            raise UserError(f"picture {name}: comes with scikit-image; install nstjax[demo]")
        return (importlib.resources.files("skimage") / "data" / PHOTOGRAPHS[key]).read_bytes()
    if key not in example_names():
        raise UserError(f"picture {name}: there is no such example{nearest(key, example_names())}")
    return (_examples() / f"{key}.jpg").read_bytes()


def _file_bytes(name):
    path = Path(name).expanduser()
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise UserError(f"picture {name}: is {kind}, expected a picture file")
        return path.read_bytes()
    except FileNotFoundError:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, siblings) if siblings else ""
        hint = hint if "did you mean" in hint else "; expected a path or example:NAME"
        raise UserError(f"picture {name}: no such file{hint}") from None
    except OSError as error:
        raise UserError(f"picture {name}: cannot be read ({error.strerror})") from None


def _to_rgb(image, notes):
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        top = 65535 if image.mode.startswith("I") else max(values.max(initial=0), 1)
        notes.append("reduced to 8 bits a channel")
        image = Image.fromarray(np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8))
    if image.has_transparency_data:
        notes.append("transparent parts laid over white")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode == "CMYK":
        notes.append("converted from CMYK without a colour profile")
    return np.asarray(image.convert("RGB"))
