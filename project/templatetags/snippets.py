"""Code on a page: escaped, with a button that copies it, and marked so that a test can run it."""

import html
import textwrap

from django import template
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_block_tag
def snippet(content, language, label="", status=""):
    """Show what stands between the tags as code of `language`; `label` names it to screen readers.

    `sh`, `python` and `js` are run by tests/test_guides.py, and `json` is read there.  A `status`
    is the HTTP error that a command is there to show.  In a line like `export NAME=…` the reader
    fills in a value of theirs.
    """
    code = html.unescape(textwrap.dedent(content).strip("\n").rstrip())
    context = {"code": code, "language": language, "label": label, "status": status}
    return SafeString(template.loader.render_to_string("docs/snippet.html", context).strip())
