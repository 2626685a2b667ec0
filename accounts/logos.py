"""The logo of an app: whatever image was given, drawn again as a small PNG of our own."""

import io

from django.core.exceptions import ValidationError
from PIL import Image, ImageOps

from . import fetching

FORMATS = ["PNG", "JPEG", "WEBP", "GIF"]
MAXIMUM_BYTES = 1024 * 1024
MAXIMUM_SIDE = 2048
SIDE = 128
# A progressive JPEG has ten or so; each costs the decoder a walk over all pixels.
MAXIMUM_SCANS = 64
KINDS = ("image/png", "image/jpeg", "image/webp", "image/gif")


def draw(data):
    """Return the image in `data` as a PNG of at most 128×128 pixels, without its metadata.

    Of an animation it is the first frame.  Raises ValidationError for what is no PNG, JPEG, WebP
    or GIF, for more than 1 MB and for more than 2,048 pixels a side.
    """
    if len(data) > MAXIMUM_BYTES:
        raise ValidationError("The logo is larger than 1 MB.")
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAXIMUM_SCANS:
        raise ValidationError("The logo is a JPEG of too many scans.")
    try:
        # No format that is text or a program, such as SVG and EPS.
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            # The header is read, the pixels are not: this is what a decompression bomb fails at.
            if max(image.size) > MAXIMUM_SIDE:
                raise ValidationError(
                    f"The logo has more than {MAXIMUM_SIDE:,} pixels a side: "
                    f"{image.width:,} × {image.height:,}."
                )
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except ValidationError:
        raise
    except Exception:  # noqa: BLE001 a broken file fails in as many ways as there are decoders
        raise ValidationError("The logo is no PNG, JPEG, WebP or GIF that can be read.") from None
    upright.thumbnail((SIDE, SIDE))
    # A new image has pixels and nothing else: no place, no camera, no colour profile.
    drawn = Image.new("RGBA", upright.size)
    drawn.paste(upright)
    png = io.BytesIO()
    drawn.save(png, "PNG", optimize=True)
    return png.getvalue()


def fetch(url):
    """Return the bytes of the image at an https URL that anybody may have named.

    Raises `fetching.FetchError` where it is not to be had.
    """
    body, _ = fetching.fetch(url, KINDS, MAXIMUM_BYTES)
    return body
