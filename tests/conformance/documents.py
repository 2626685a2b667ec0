"""A host on this machine that serves metadata documents by https, for a server that trusts it."""

import contextlib
import io

from PIL import Image

from ..sites import make_certificate, running_site


class Host:
    """A `Site` by the name of localhost, which is at `url`; `asked` are the paths that somebody
    asked for."""

    def __init__(self, site):
        self.site, self.asked = site, site.asked
        self.url = site.url("", host="localhost")

    @property
    def calls(self):
        """How often anybody connected, whether they went on or not."""
        return self.site.connections

    def put(self, path, document=None, status=200, **headers):
        """Serve `document` at `path`: a dict gets the client_id that it has there, unless it has
        one of its own; return the URL."""
        url = self.url + path
        if isinstance(document, dict):
            named = {"client_id": url, "redirect_uris": ["https://cimd.example/callback"]}
            document = {k: v for k, v in (named | document).items() if v is not None}
        self.site.serve(document or b"", path, status, **headers)
        return url

    def put_logo(self, path):
        """Serve a picture at `path`; return the URL."""
        png = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(png, "PNG")
        return self.put(path, png.getvalue(), Content_Type="image/png")


@contextlib.contextmanager
def document_host(folder):
    """Run the host until the block ends; its certificate is in `folder`, as host.pem."""
    with running_site(make_certificate(folder / "host.pem")) as site:
        yield Host(site)
