"""Serve the example page on an origin of its own: http://127.0.0.1:8001.

    python examples/web/serve.py

PORT is 8001 unless set, since that origin is registered with the demo app; PAWPRINT_URL is the
server (http://127.0.0.1:8000 unless set), PAWPRINT_CLIENT_ID the app (pawprint-demo-web unless
set).  Any server of static files will do instead, with config.js edited by hand.
"""

import contextlib
import functools
import http.server
import json
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
PORT = int(os.environ.get("PORT", "8001"))
URL = os.environ.get("PAWPRINT_URL", "http://127.0.0.1:8000").rstrip("/")
CLIENT_ID = os.environ.get("PAWPRINT_CLIENT_ID", "pawprint-demo-web")

CONFIG = f"""\
export const api = {json.dumps(URL)};
export const clientId = {json.dumps(CLIENT_ID)};
"""
HEADERS = {
    # A page that holds a token runs its own scripts only, and talks to one server only.
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
        f"connect-src {URL}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path.partition("?")[0] != "/config.js":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript; charset=utf-8")
        self.end_headers()
        self.wfile.write(CONFIG.encode())

    def end_headers(self):
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code="-", size="-"):
        # Without the query: the code of a sign-in stands there.
        path = self.path.partition("?")[0]
        self.log_message("%s %s %s", self.command, path, getattr(code, "value", code))


if __name__ == "__main__":
    handler = functools.partial(Handler, directory=HERE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", PORT), handler) as server:
        print(f"The page is at http://127.0.0.1:{PORT}/ and calls {URL}.  Ctrl+C stops it.")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
