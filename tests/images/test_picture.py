"""Pictures as people have them: each becomes upright sRGB, or one line says why it cannot."""

import io as bytes_io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from nstjax import images
from nstjax.errors import UserError
from nstjax.images.decode import MAX_BYTES, formats

ROOT = Path(__file__).parents[2]

# Smooth in both directions and different in every corner and channel.
ROWS, COLUMNS = np.mgrid[0:12, 0:16]
GREY = (ROWS * 8 + COLUMNS * 10).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, (ROWS * 20).astype(np.uint8)], -1)


def png(path, pixels, depth, colour_type, size=None):
    """Writes a PNG by hand: Pillow writes no 16-bit colour, and no header that lies."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", *(size or (width, height)), depth, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def save(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)


def wide_gamut():
    """An ICC profile with the primaries of Display P3: sRGB's, with the colorants replaced."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    colorants = {b"rXYZ": (0.5151, 0.2412, -0.0011), b"gXYZ": (0.2919, 0.6922, 0.0419)}
    colorants[b"bXYZ"] = (0.1572, 0.0666, 0.7841)
    for i in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset = struct.unpack_from(">4sI", profile, 132 + 12 * i)
        if name in colorants:
            struct.pack_into(">3i", profile, offset + 8, *(round(v * 65536) for v in colorants[name]))
    return bytes(profile)


def load(path):
    picture = images.load_picture(str(path))
    assert picture.pixels.dtype == np.uint8 and picture.pixels.shape[2] == 3
    return picture


def notes(picture):
    return "; ".join(picture.notes)


def refusal(name):
    """The one line that a picture is refused with; it names the picture."""
    with pytest.raises(UserError) as error:
        images.load_picture(str(name))
    line = str(error.value)
    assert line.isprintable() and line.startswith("picture ")
    return line


def test_plain_pictures_come_as_they_are(tmp_path):
    for name in ("a.png", "a.bmp", "a.tif", "no_extension"):
        save(tmp_path / name, RGB, format="PNG" if name == "no_extension" else None)
        picture = load(tmp_path / name)
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert picture.notes == () and len(picture.sha256) == 64


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA"])
def test_grey_bilevel_and_palette_pictures_become_rgb(tmp_path, mode):
    save(tmp_path / "a.png", GREY, mode)
    picture = load(tmp_path / "a.png")
    expected = np.asarray(Image.fromarray(GREY).convert("1").convert("L")) if mode == "1" else GREY
    for channel in range(3):
        np.testing.assert_array_equal(picture.pixels[..., channel], expected)
    assert picture.notes == ()


def test_16_bit_pictures_lose_the_low_byte_and_say_so(tmp_path):
    wide = RGB.astype(np.uint16) * 257
    png(tmp_path / "rgb.png", wide, 16, 2)
    png(tmp_path / "grey.png", wide[..., 0], 16, 0)
    save(tmp_path / "grey.tif", wide[..., 0].copy())
    for name, expected in (("rgb.png", RGB), ("grey.png", RGB[..., :1]), ("grey.tif", RGB[..., :1])):
        picture = load(tmp_path / name)
        np.testing.assert_array_equal(picture.pixels, np.broadcast_to(expected, RGB.shape), name)
        assert notes(picture) == "reduced from 16 to 8 bits a channel"


@pytest.mark.parametrize("white", [1, 255, 65535, 100000])
def test_float_pictures_are_scaled_by_the_range_they_fit(tmp_path, white):
    values = (GREY / 255 * white).astype(np.float32)
    values[0, 0] = white
    save(tmp_path / "a.tif", values)
    picture = load(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.pixels[1:, :, 0], GREY[1:])
    assert notes(picture) == f"its values were divided by {white}"


def test_a_float_picture_with_nan_is_refused(tmp_path):
    save(tmp_path / "a.tif", np.array([[0, np.nan], [np.inf, 1]], np.float32))
    assert "not finite" in refusal(tmp_path / "a.tif")


def test_transparency_is_laid_over_white_and_said(tmp_path):
    alpha = np.full(GREY.shape, 255, np.uint8)
    save(tmp_path / "opaque.png", np.dstack([RGB, alpha]))
    assert load(tmp_path / "opaque.png").notes == ()
    alpha[0, 0], alpha[1, 1] = 0, 51
    save(tmp_path / "rgba.png", np.dstack([RGB, alpha]))
    save(tmp_path / "la.png", np.dstack([GREY, alpha]))
    for name, source in (("rgba.png", RGB), ("la.png", np.dstack([GREY] * 3))):
        picture = load(tmp_path / name)
        assert notes(picture) == "transparent parts laid over white"
        assert picture.pixels[0, 0].tolist() == [255] * 3
        np.testing.assert_allclose(picture.pixels[1, 1], 0.2 * source[1, 1] + 0.8 * 255, atol=1)
        np.testing.assert_array_equal(picture.pixels[2:], source[2:])


def test_a_palette_with_transparency(tmp_path):
    image = Image.new("P", (4, 2), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.png", transparency=0)
    picture = load(tmp_path / "a.png")
    assert picture.pixels[0, 0].tolist() == [255] * 3 and picture.pixels[0, 1].tolist() == [0, 0, 255]
    assert notes(picture) == "transparent parts laid over white"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    turn = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: x.swapaxes(0, 1)[:, ::-1],
        7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
        8: lambda x: x.swapaxes(0, 1)[::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "a.png", RGB, exif=exif)
    picture = load(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, turn(RGB))
    assert notes(picture) == ("rotated as its EXIF orientation says" if orientation > 1 else "")


def test_a_meaningless_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    save(tmp_path / "a.png", RGB, exif=exif)
    picture = load(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.notes == ()


@pytest.mark.parametrize("name", ["a.gif", "a.tif"])
def test_of_several_frames_the_first_is_used(tmp_path, name):
    others = [Image.fromarray(255 - RGB), Image.fromarray(RGB // 2)]
    save(tmp_path / name, RGB, save_all=True, append_images=others)
    picture = load(tmp_path / name)
    # A GIF has 256 colours, dithered.
    np.testing.assert_allclose(picture.pixels, RGB.astype(float), atol=40 if name == "a.gif" else 0)
    assert notes(picture) == "the first of 3 frames is used"


def test_cmyk_without_a_profile(tmp_path):
    save(tmp_path / "a.tif", RGB, "CMYK")
    picture = load(tmp_path / "a.tif")
    np.testing.assert_allclose(picture.pixels, RGB.astype(int), atol=1)  # inverted twice
    assert notes(picture) == "converted from CMYK without a colour profile"


def test_a_colour_profile_is_converted_to_srgb(tmp_path):
    # The P3 colour of sRGB red (200, 60, 60), by the matrices of both spaces in float64.
    p3 = np.array([[0.5151, 0.2919, 0.1572], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
    srgb = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    linear = ((np.array([180, 120, 90]) / 255 + 0.055) / 1.055) ** 2.4
    linear = np.linalg.solve(srgb, p3 @ linear)
    expected = (1.055 * linear ** (1 / 2.4) - 0.055) * 255
    flat = np.full((4, 4, 3), (180, 120, 90), np.uint8)
    for name, extra in (("a.png", {}), ("a.tif", {}), ("transparent.png", {"mode": "RGBA"})):
        save(tmp_path / name, flat, icc_profile=wide_gamut(), **extra)
        picture = load(tmp_path / name)
        # Two roundings to 8 bits, and lcms's 16-bit tables.
        np.testing.assert_allclose(picture.pixels[0, 0], expected, atol=1.5)
        assert re.fullmatch("converted from the colour profile '.*' to sRGB", notes(picture))


def test_an_srgb_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(tmp_path / "a.png", RGB, icc_profile=profile)
    save(tmp_path / "grey.png", GREY, icc_profile=profile)
    picture, grey = load(tmp_path / "a.png"), load(tmp_path / "grey.png")
    np.testing.assert_array_equal(picture.pixels, RGB)
    np.testing.assert_array_equal(grey.pixels[..., 0], GREY)
    assert picture.notes == grey.notes == ()


def test_a_broken_profile_is_ignored_and_said(tmp_path):
    save(tmp_path / "a.png", RGB, icc_profile=b"no profile at all" * 20)
    picture = load(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert notes(picture) == "its colour profile cannot be applied and is ignored"


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (40, 2), (1, 300)])
def test_very_small_and_very_thin_pictures(tmp_path, size):
    pixels = np.full((*size, 3), 77, np.uint8)
    save(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(load(tmp_path / "a.png").pixels, pixels)
    height, width = images.fit_size(*size, 16)
    assert images.resize(pixels, height, width).shape == (height, width, 3)
    assert max(height, width) == 16 and min(height, width) >= 1


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.tif", "a.bmp"])
def test_a_truncated_picture_is_refused(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    save(tmp_path / name, noise)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    assert "cannot be decoded" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"<html></html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"]
)
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert re.search("not a picture in a known format|cannot be decoded", refusal(tmp_path / "a.png"))


def test_a_png_with_a_flipped_bit_anywhere_is_refused(tmp_path):
    save(tmp_path / "a.png", np.tile(RGB, (8, 8, 1)))
    whole = (tmp_path / "a.png").read_bytes()
    for at in range(8, len(whole), max(len(whole) // 60, 1)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        (tmp_path / "a.png").write_bytes(damaged)
        assert re.search("cannot be decoded|not a picture", refusal(tmp_path / "a.png")), at


@pytest.mark.parametrize("name", ["a.eps", "a.png", "a"])
@pytest.mark.parametrize("kind", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xc5\xd0\xd3\xc6\x20\0\0\0"])
def test_no_program_is_run_to_read_a_picture(tmp_path, monkeypatch, name, kind):
    gs = tmp_path / "gs"
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/was_run\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / name).write_bytes(kind + b"%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n" * 9)
    assert "not a picture in a known format; expected AVIF, BMP, GIF, " in refusal(tmp_path / name)
    assert not (tmp_path / "was_run").exists()


def test_pictures_are_opened_in_named_formats_alone():
    for path in (p for part in ("nstjax", "experiments") for p in (ROOT / part).rglob("*.py")):
        for call in re.findall(r"Image\.open\(.*", path.read_text()):
            assert "formats=" in call, (path, call)
    assert not {"EPS", "WMF", "GRIB", "BUFR", "HDF5", "MPEG", "FITS"} & set(formats())


def test_a_heic_picture_is_refused_with_what_helps(tmp_path):
    for brand in (b"heic", b"heix", b"mif1"):
        (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(400))
        line = refusal(tmp_path / "a.jpg")
        assert "it is HEIC: save it as JPEG or PNG first, by `heif-convert a.heic a.jpg`" in line


def test_a_folder_is_its_pictures_in_the_formats_that_can_be_read(tmp_path):
    endings = {"avif": "AVIF", "webp": "WEBP", "jpg": "JPEG", "JPEG": "JPEG", "jfif": "JPEG", "png": "PNG"}
    endings |= {"bmp": "BMP", "tif": "TIFF", "TIFF": "TIFF", "gif": "GIF", "ppm": "PPM", "jp2": "JPEG2000"}
    for ending, kind in endings.items():
        save(tmp_path / f"a.{ending}", RGB, format=kind)
    for name in ("._a.png", ".hidden.png", ".DS_Store", "notes.txt", "a.eps", "a.svg", "a.mp4", "a.npy"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7 Mac OS X")
    found = images.picture_files(tmp_path)
    assert [path.name for path in found] == sorted(f"a.{ending}" for ending in endings)
    for path in found:
        assert load(path).pixels.shape == RGB.shape
    # One that cannot be read is refused where it is read, and not left out without a word.
    (tmp_path / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    assert images.picture_files(tmp_path)[-1].name == "b.HEIC"


@pytest.mark.parametrize("size", [(13_000, 13_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_header_is_refused_before_it_is_decoded(tmp_path, size):
    png(tmp_path / "a.png", GREY, 8, 0, size=size)
    assert "the most is 128 megapixels" in refusal(tmp_path / "a.png")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "a.png", "wb") as file:
        file.truncate(100 * MAX_BYTES)
    assert "too large a file" in refusal(tmp_path / "a.png")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path) == f"picture {tmp_path}: is a directory, expected a picture file"
    for name in (tmp_path / "fifo", "/dev/zero", "/dev/stdin"):
        assert re.search("is not a regular file|no such file", refusal(name))
    assert "symbolic links" in refusal(tmp_path / "loop")
    assert "Not a directory" in refusal(tmp_path / "file" / "a.png")
    assert "name too long" in refusal(tmp_path / ("a" * 300))
    assert "null byte" in refusal(f"{tmp_path}/a\0b")
    with pytest.raises(UserError, match="name of a picture is empty"):
        images.load_picture("")


def test_a_missing_file_brings_the_nearest_name(tmp_path):
    save(tmp_path / "harbour.jpg", RGB)
    (tmp_path / "dangling.png").symlink_to("nothing")
    assert refusal(tmp_path / "harbor.jpg").endswith("no such file; did you mean 'harbour.jpg'?")
    assert refusal(tmp_path / "dangling.png").endswith("; expected a path or example:NAME")
    assert refusal(tmp_path / "no" / "a.png").endswith("; expected a path or example:NAME")
    assert refusal("example:cofee").endswith("; did you mean 'coffee'?")
    assert "there is no such example; valid: " in refusal("example:../errors")


@pytest.mark.parametrize("name", [b"caf\xe9.png", "naïve ☃.png".encode(), b"a\nb.png", b"-a,b.png", b" "])
def test_odd_file_names_work(tmp_path, name):
    name = os.fsdecode(name)
    save(tmp_path / name, RGB, format="PNG")
    np.testing.assert_array_equal(load(tmp_path / name).pixels, RGB)
    (tmp_path / name).write_bytes(b"")
    refusal(tmp_path / name)


def test_damaged_pictures_never_break_the_reader(tmp_path):
    rng = np.random.default_rng(0)
    seeds = []
    for name in ("a.png", "a.jpg", "a.gif", "a.bmp", "a.ppm", "a.ico", "a.tga"):
        save(tmp_path / name, RGB, icc_profile=wide_gamut())
        seeds.append((tmp_path / name).read_bytes())
    refused = 0
    for i in range(400):
        data = np.frombuffer(seeds[i % len(seeds)], np.uint8).copy()
        where = (len(data) * rng.random(8) ** 3).astype(int)
        data[where] = rng.integers(0, 256, 8)
        (tmp_path / "damaged").write_bytes(data.tobytes())
        try:
            load(tmp_path / "damaged")
        except UserError:
            refused += 1
    assert 100 < refused < 400


def test_a_png_keeps_the_picture_and_any_label(tmp_path):
    image = np.float32([[[0, 0.5, 1], [-1, 2, 0.2]]])
    for label in ("weights: random", "naïve ☃", os.fsdecode(b"caf\xe9")):
        decoded = Image.open(bytes_io.BytesIO(images.encode_png(image, label)))
        np.testing.assert_array_equal(np.asarray(decoded), [[[0, 128, 255], [0, 255, 51]]])
        assert decoded.text["Comment"] == label.encode(errors="backslashreplace").decode()


def test_pictures_are_turned_about_their_middle():
    pixels = images.load_picture("example:coffee").pixels
    square = pixels[:301, :301]
    np.testing.assert_array_equal(images.rotate(square, 90), np.rot90(square))
    np.testing.assert_array_equal(images.rotate(square, 0), square)
    there_and_back = images.rotate(images.rotate(pixels, 15), -15).astype(float)
    assert there_and_back.shape == pixels.shape
    inside = np.s_[150:250, 200:400]
    assert np.abs(there_and_back[inside] - pixels[inside]).mean() < 4
    assert images.rotate(np.full_like(pixels, 200), 30).min() == 200  # nothing comes in from outside
    assert images.rotate(np.full((1, 5, 3), 7, np.uint8), 45).shape == (1, 5, 3)
