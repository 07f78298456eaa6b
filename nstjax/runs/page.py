"""HTML pages from templates: one file each, with pictures, style and scripts inside."""

import base64
import functools
import io
from typing import Any

import jinja2
from PIL import Image

_SHARED = "nstjax.runs"


def render(template: str, package: str = _SHARED, **values: Any) -> str:
    """A page as text, to be written as UTF-8. It opens from a file and loads nothing from elsewhere.

    Args:
      template: name of a file in `pages/` of the package. In a template, `text_of("page.css")` is the text of
        such a file.
      package: whose `pages/` to look in first, before those of `nstjax.runs`.
      **values: names of the template, which escapes them but for those it calls safe.
    """
    return _environment(package).get_template(template).render(**values)


def data_url(image: Image.Image, long_side: int, *, quality: int = 90) -> str:
    """The data URL of a picture, as JPEG.

    Args:
      image: RGB.
      long_side: the most pixels of a side; larger pictures are made smaller.
      quality: of JPEG.
    """
    small = image.copy()
    small.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return encoded_url(buffer.getvalue(), "image/jpeg")


def encoded_url(data: bytes, kind: str) -> str:
    """The data URL of a file of a MIME type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@functools.cache
def _environment(package):
    places = dict.fromkeys((package, _SHARED))
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(place, "pages") for place in places])
    made = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["text_of"] = lambda name: loader.get_source(made, name)[0]
    return made
