"""Pictures: files to arrays, upright and as sRGB, and arrays to PNG."""

import dataclasses
import hashlib
import importlib.resources
import importlib.util
import io
import math
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from nstjax import files
from nstjax.errors import UserError, nearest

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 128_000_000
MAX_BYTES = 8 * MAX_PIXELS
# Photographs that scikit-image carries in its package, by the name used here.
PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
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
    """Reads a picture: any mode and depth that Pillow knows, upright, as sRGB, alpha over white.

    Args:
      name: a path, or `example:NAME`.

    Returns:
      `Picture`.

    Raises:
      UserError: for a file that is missing, not a picture, truncated, or has over `MAX_PIXELS` pixels.
    """
    if not name:
        raise UserError("the name of a picture is empty; expected a path or example:NAME")
    data = _example_bytes(name) if name.startswith("example:") else _file_bytes(name)
    notes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damage it can mend.
        image = _decode(name, data, notes)
        pixels = _to_srgb(name, image, notes)
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


def calibration_images():
    """The example pictures, [H, W, 3] float32 each, long side 256, for Gatys' weight normalisation.

    Photographs and paintings: a filter that hardly fires on the one kind is blown up on the other.
    """
    pictures = [load_picture(f"example:{name}").pixels for name in example_names()]
    return [resize(pixels, *fit_size(*pixels.shape[:2], 256)) for pixels in pictures]


def resize_to_cover(pixels, height, width):
    """Picture [H, W, 3] uint8 to [height, width, 3] float32 in [0, 1], scaled to cover, centre cropped."""
    image = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).astype(np.float32) / 255


def rotate(pixels, degrees):
    """Picture [H, W, 3] uint8 turned about its middle, anticlockwise; reflections fill the corners."""
    if degrees == 0:
        return pixels
    h, w = pixels.shape[:2]
    pad = round(math.hypot(h, w) - min(h, w)) // 2 + 2
    wider = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    turned = np.asarray(Image.fromarray(wider).rotate(degrees, Image.Resampling.BICUBIC))
    return turned[pad : pad + h, pad : pad + w]


def to_uint8(image):
    """Image [H, W, 3] float, clipped to [0, 1] and rounded to uint8."""
    return np.rint(np.clip(np.asarray(image, np.float32), 0, 1) * 255).astype(np.uint8)


def encode_png(image, label=""):
    """PNG bytes of an image [H, W, 3] in [0, 1], with a label in its text chunk `Comment`."""
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    if label:
        text.add_text("Comment", label.encode(errors="backslashreplace").decode())
    Image.fromarray(to_uint8(image)).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def _examples():
    return importlib.resources.files("nstjax.images") / "examples"


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
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"picture {name}: too large a file; the most is {MAX_BYTES / 1e9:.0f} GB")
        return path.read_bytes()
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(
            f"picture {name}: no such file{files.near_file(path) or '; expected a path or example:NAME'}"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"picture {name}: cannot be read ({reason})") from None


def _decode(name, data, notes):
    """The first frame of an encoded picture, upright, as Pillow has it."""
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if ";16" in str(image.tile):
            notes.append("reduced from 16 to 8 bits a channel")
        image.load()
        if (frames := getattr(image, "n_frames", 1)) > 1:
            notes.append(f"the first of {frames} frames is used")
        if image.getexif().get(ExifTags.Base.Orientation) in range(2, 9):
            notes.append("rotated as its EXIF orientation says")
        return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, MemoryError):
        raise UserError(
            f"picture {name}: too large to decode; the most is {MAX_PIXELS / 1e6:.0f} megapixels"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"picture {name}: not a picture in a known format") from None
    except Exception as error:  # Pillow's decoders fail in any way on damaged files.
        raise UserError(f"picture {name}: cannot be decoded ({error or type(error).__name__})") from None


def _to_srgb(name, image, notes):
    """[H, W, 3] uint8 sRGB of a picture in any mode, composited on white."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bits(name, image, notes)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    image = _apply_profile(image, profile, notes)
    if alpha is not None and alpha.getextrema()[0] < 255:
        notes.append("transparent parts laid over white")
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    return np.asarray(image)


def _to_8_bits(name, image, notes):
    """A grey picture of mode I or F as mode L; white is the first of 1, 255, 65535 not exceeded."""
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all():
        raise UserError(f"picture {name}: has values that are not finite")
    white = 65535.0
    if ";" not in image.mode:
        brightest = values.max(initial=0)
        white = next((top for top in (1.0, 255.0, 65535.0) if brightest <= top), brightest)
        notes.append(f"its values were divided by {white:.6g}")
    return Image.fromarray(np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8))


def _apply_profile(image, profile, notes):
    """A picture of mode L, RGB, CMYK or LAB as sRGB, by its ICC profile if it has one that fits."""
    plain = image.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            grey = image.mode == "L" and source.profile.xcolor_space.strip() == "GRAY"
            encoded = plain if image.mode == "L" and not grey else image
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(encoded, source, srgb, outputMode="RGB")
            if max(most for _, most in ImageChops.difference(plain, converted).getextrema()) <= 2:
                return plain  # sRGB by another name, up to rounding.
            description = ImageCms.getProfileDescription(source).strip()
            notes.append(f"converted from the colour profile {description!r} to sRGB")
            return converted
        except (ImageCms.PyCMSError, OSError):
            notes.append("its colour profile cannot be applied and is ignored")
    if image.mode == "CMYK":
        notes.append("converted from CMYK without a colour profile")
    return plain


def picture_files(folder):
    """Paths of the pictures in a folder, sorted by name.

    Raises:
      UserError: where there is no such folder, or no picture in it.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise UserError(f"data {folder}: no such folder; expected one with pictures")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"data {folder}: no picture in it; expected files {', '.join(SUFFIXES)}")
    return found
