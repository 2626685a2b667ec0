"""A host on this machine that serves metadata documents by https, for a server that trusts it."""

import contextlib
import datetime
import io
import ipaddress
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image


class Host:
    """`documents` is what is there, by path; `asked` the paths that somebody asked for, and
    `calls` how often anybody connected, whether they went on or not."""

    def __init__(self, server):
        self.url = f"https://localhost:{server.server_port}"
        self.documents, self.asked, self.calls = {}, [], 0

    def put(self, path, document=None, status=200, kind="application/json", **headers):
        """Serve `document` at `path`: a dict gets the client_id that it has there, unless it has
        one of its own; return the URL."""
        url = self.url + path
        if isinstance(document, dict):
            named = {"client_id": url, "redirect_uris": ["https://cimd.example/callback"]}
            document = {k: v for k, v in (named | document).items() if v is not None}
            document = json.dumps(document).encode()
        self.documents[path] = (status, document or b"", {"Content-Type": kind} | headers)
        return url

    def put_logo(self, path):
        """Serve a picture at `path`; return the URL."""
        png = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(png, "PNG")
        return self.put(path, png.getvalue(), kind="image/png")


@contextlib.contextmanager
def document_host(folder):
    """Run the host until the block ends; its certificate is in `folder`, as host.pem."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            host.asked.append(self.path)
            status, body, headers = host.documents.get(self.path, (404, b"", {}))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            # Who has enough of it goes before the end.
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    class Server(ThreadingHTTPServer):
        def get_request(self):
            plain, address = super().get_request()
            host.calls += 1
            plain.settimeout(5)
            return context.wrap_socket(plain, server_side=True), address

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(folder / "host.pem"))
    server = Server(("127.0.0.1", 0), Handler)
    host = Host(server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(path):
    """Write a key and its own certificate for this machine to `path`, and return it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
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
