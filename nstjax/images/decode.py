"""Files of pictures to decoded ones: raster formats alone, checksums verified, upright."""

import functools
import importlib.resources
import importlib.util
import io
import warnings
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features

from nstjax import files
from nstjax.errors import UserError, nearest

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
# Formats of pixels. Pillow reads others by programs outside, such as EPS by Ghostscript.
_FORMATS = (
    *("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TGA"),
    *("TIFF", "WEBP"),
)
HEIC = (".heic", ".heif", ".hif")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats that can be read here, by Pillow's names."""
    Image.init()
    return tuple(
        name
        for name in _FORMATS
        if name in Image.OPEN and (name not in _OPTIONAL or features.check(_OPTIONAL[name]))
    )


@functools.cache
def suffixes() -> tuple[str, ...]:
    """The suffixes of files in `formats`, in lower case."""
    return tuple(sorted(end for end, name in Image.registered_extensions().items() if name in formats()))


def example_names() -> tuple[str, ...]:
    """The names for `example:NAME`: paintings of the package, photographs of scikit-image."""
    paintings = [p.name[:-4] for p in _examples().iterdir() if p.name.endswith(".jpg")]
    return tuple(sorted(paintings) + sorted(PHOTOGRAPHS))


def read(name: str) -> bytes:
    """The bytes of a picture's file.

    Args:
      name: a path, or `example:NAME`.

    Raises:
      UserError: for a file that is missing, no regular file, larger than `MAX_BYTES`, or not readable.
    """
    if not name:
        raise UserError("the name of a picture is empty; expected a path or example:NAME")
    is_example = name.strip().startswith("example:")
    return _example_bytes(name.strip()) if is_example else _file_bytes(name)


def decode(name: str, data: bytes, notes: list[str]) -> Image.Image:
    """The first frame of an encoded picture, upright, in its own mode and with the name of its format.

    Args:
      name: for the messages.
      data: of the file.
      notes: lines on what was changed are added to it.

    Raises:
      UserError: for what is no picture, is damaged or truncated, or has over `MAX_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damage it can mend.
            return _decode(data, notes)
    except (Image.DecompressionBombError, MemoryError):
        raise UserError(
            f"picture {name}: too large to decode; the most is {MAX_PIXELS / 1e6:.0f} megapixels"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"picture {name}: not a picture in a known format{_remedy(data)}") from None
    except Exception as error:  # Pillow's decoders fail in any way on damaged files.
        raise UserError(f"picture {name}: cannot be decoded ({error or type(error).__name__})") from None


def open_png(path: str | Path) -> Image.Image:
    """A PNG of ours as Pillow opens it, and nothing else.

    Raises:
      OSError: for a file that is missing or no PNG.
    """
    return Image.open(path, formats=("PNG",))


def _decode(data, notes):
    image = Image.open(io.BytesIO(data), formats=formats())
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    image.verify()  # Looks at the checksums of a PNG but for the last, and spoils the object.
    if image.format == "PNG" and _PNG_END not in data:
        raise OSError("its end is damaged")
    image = Image.open(io.BytesIO(data), formats=formats())
    if ";16" in str(image.tile):
        notes.append("reduced from 16 to 8 bits a channel")
    image.load()
    if (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"the first of {frames} frames is used")
    if image.getexif().get(ExifTags.Base.Orientation) in range(2, 9):
        notes.append("rotated as its EXIF orientation says")
    upright = ImageOps.exif_transpose(image)
    upright.format = image.format
    return upright


def _remedy(data):
    """A clause on what helps with a file of an unknown format."""
    brands = data[8:64] if data[4:8] == b"ftyp" else b""
    if b"avif" in brands or b"avis" in brands:
        return "; it is AVIF, which needs Pillow 11.3 or later: pip install -U pillow"
    if brands[:4] in _HEIC_BRANDS:
        return (
            "; it is HEIC: save it as JPEG or PNG first, by `heif-convert a.heic a.jpg` on Linux or `sips -s "
            "format jpeg a.heic --out a.jpg` on a Mac"
        )
    return f"; expected {', '.join(formats())}"


def _examples():
    return importlib.resources.files("nstjax.images") / "examples"


def _example_bytes(name):
    key = name.removeprefix("example:")
    if key in PHOTOGRAPHS:
        if importlib.util.find_spec("skimage") is None:
            raise UserError(f"picture {name}: comes with scikit-image; install scikit-image")
        return (importlib.resources.files("skimage") / "data" / PHOTOGRAPHS[key]).read_bytes()
    if key not in example_names():
        raise UserError(f"picture {name}: there is no such example{nearest(key, example_names())}")
    return (_examples() / f"{key}.jpg").read_bytes()


def _file_bytes(name):
    try:
        path = files.user_path(name)
    except UserError as error:
        raise UserError(f"picture {error}") from None
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
