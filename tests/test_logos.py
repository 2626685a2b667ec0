"""Logos: whatever was given, a small PNG of our own comes of it, or a sentence."""

import io

import pytest
from django.core.exceptions import ValidationError
from PIL import Image

from accounts import logos

ORIENTATION, GPS = 0x112, 0x8825


def image(kind, mode="RGB", size=(300, 200), **options):
    """Return the bytes of an image file."""
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def drawn(data):
    """Return what is drawn of `data`, as an image that was read."""
    png = Image.open(io.BytesIO(logos.draw(data)))
    png.load()
    return png


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
        ("WEBP", "RGBA"),
        ("GIF", "P"),
    ],
)
def test_any_usual_image_becomes_a_png_of_128_pixels(kind, mode):
    png = drawn(image(kind, mode))
    assert (png.format, png.mode, png.size) == ("PNG", "RGBA", (128, 85))


def test_a_small_image_is_not_blown_up():
    assert drawn(image("PNG", size=(16, 16))).size == (16, 16)


def test_what_is_transparent_stays_so():
    assert drawn(image("PNG", "RGBA")).getpixel((0, 0))[3] == 0


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_drawn(kind):
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], lossless=True)
    png = drawn(file.getvalue())
    assert not getattr(png, "is_animated", False)
    assert png.getpixel((32, 32)) == (255, 0, 0, 255)


def test_metadata_stays_behind_and_the_picture_stands_upright():
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # lying on its side
    exif[GPS] = {1: "N", 2: (52.0, 31.0, 0.0)}
    data = image("JPEG", exif=exif, icc_profile=b"a profile", comment=b"a secret")
    assert b"a secret" in data
    png = drawn(data)
    assert png.size == (85, 128)
    assert png.info == {}
    assert not png.getexif()


def cut_short():
    whole = image("JPEG", size=(1000, 1000))
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        cut_short(),
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        image("BMP"),
        image("TIFF"),
        b"<html>" + image("PNG"),
    ],
    ids=["empty", "header", "cut short", "SVG", "EPS", "BMP", "TIFF", "HTML"],
)
def test_what_is_no_image_of_the_four_kinds_is_refused(data):
    with pytest.raises(ValidationError, match="no PNG, JPEG, WebP or GIF"):
        logos.draw(data)


def test_a_file_of_more_than_a_megabyte_is_refused():
    with pytest.raises(ValidationError, match="1 MB"):
        logos.draw(image("PNG") + b"\x00" * 1024 * 1024)


@pytest.mark.parametrize("size", [(2049, 1), (1, 2049), (6000, 6000)])
def test_a_decompression_bomb_is_refused_by_its_header(size):
    data = image("PNG", "1", size)
    assert len(data) < 10_000
    with pytest.raises(ValidationError, match="2,048 pixels"):
        logos.draw(data)


def test_a_bomb_of_gigapixels_is_refused():
    with pytest.raises(ValidationError):
        logos.draw(image("PNG", "1", (20_000, 20_000)))


def test_a_jpeg_that_repeats_its_last_scan_is_refused_unread():
    """A few hundred bytes more cost the decoder a second each."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG", progressive=True)
    jpeg = file.getvalue()
    assert logos.draw(jpeg)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    with pytest.raises(ValidationError, match="too many scans"):
        logos.draw(jpeg[:-2] + last * 100 + jpeg[-2:])
