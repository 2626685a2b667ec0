"""Sites of somebody else on this machine, over https with a certificate of their own."""

import contextlib
import datetime
import http.server
import ipaddress
import json
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(path, names=("127.0.0.1", "localhost")):
    """Write a key and a certificate for `names` to `path`; the file serves as its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([general_name(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Site:
    """An https site: `pages` maps a path to `(status, headers, body)`, the body bytes or a
    function that writes it to a file, or to a function that writes the whole answer to one.

    `asked` lists the paths that were asked for, `connections` counts who came, also without a word.
    """

    def __init__(self, server):
        self.port = server.server_port
        self.pages, self.asked, self.connections = {}, [], 0

    def url(self, path="/client.json", host="127.0.0.1"):
        return f"https://{host}:{self.port}{path}"

    def serve(self, body, path="/client.json", status=200, **headers):
        """Serve `body` (a dict as JSON) at `path` and return its URL; underscores in the names
        of headers are dashes."""
        headers = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        self.pages[path] = (status, headers, body)
        return self.url(path)

    def serve_client(self, path="/client.json", headers=None, **metadata):
        """Serve the metadata document of a client and return its client_id."""
        client_id = self.url(path)
        document = {
            "client_id": client_id,
            "client_name": "Dog Walker",
            "redirect_uris": ["https://walker.example/callback"],
            "token_endpoint_auth_method": "none",
        } | metadata
        document = {name: value for name, value in document.items() if value is not None}
        return self.serve(document, path, **headers or {})


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        site.asked.append(self.path)
        page = site.pages.get(self.path, (404, {}, b""))
        with contextlib.suppress(OSError):  # whoever asked has gone
            if callable(page):
                page(self.wfile)
            else:
                self.answer(*page)

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not callable(body):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if callable(body):
            body(self.wfile)
        else:
            self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    def process_request(self, request, client_address):
        self.site.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        """Say nothing: tests hang up on purpose."""


@contextlib.contextmanager
def running_site(certificate):
    """Serve a Site with `certificate` until the block ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(("127.0.0.1", 0), Handler) as server:
        # The handshake is the handler's: nobody who is silent keeps others waiting.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        server.site = Site(server)
        thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
        thread.start()
        try:
            yield server.site
        finally:
            server.shutdown()
            thread.join()
