"""Reading what a stranger's address names, without reaching what strangers may not (SSRF).

https only; every address the name resolves to must be public, and it is resolved once; no
redirect is followed; one deadline holds for everything after the look-up; the size, the kind, the
number at a time and the number per host are bounded.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

from django.conf import settings

from .throttling import Budget

SECONDS = 5
MOST_ADDRESSES = 4
PER_HOST = Budget("fetch", 100, 600)
# In each process: whoever lets us wait for them holds no more threads than these.
SLOTS = threading.BoundedSemaphore(4)
URI = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")  # RFC 3986 §2
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # RFC 4291 §2.4
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052 §2.1
# One sentence for all of it: which one would tell strangers about the network we are in.
UNREACHABLE = "The host could not be reached by https on the public internet, or was too slow."


class FetchError(Exception):
    """Nothing was fetched.  The message is ours: it holds nothing of what was there."""


class TooBusyError(FetchError):
    """Not now; the address may be fine."""


def problem_with(url):
    """Return why `url` is none that is fetched, else None.  Nothing is looked up."""
    if not URI.fullmatch(url) or not url.startswith("https://"):
        return "it is no https URL."
    if "#" in url:
        return "it has a fragment."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "it is no https URL."
    if "@" in parts.netloc:
        return "it has a user name or a password."
    if not parts.hostname or port == 0:
        return "it names no host."
    if not parts.path:
        return "it has no path."
    if {".", ".."} & set(unquote(parts.path).split("/")):
        return "its path has dot segments."
    # One request must not make us send ourselves another.
    ours = urlsplit(settings.PUBLIC_URL)
    if (parts.hostname, port or 443) == (ours.hostname, ours.port or 443):
        return "it is an address of this server."
    return None


def fetch(url, kinds, limit):
    """Return `(body, headers)` of the 200 at `url`; FetchError for anything else.

    `kinds` are the media types that will do (`application/*+json` is a pattern), `limit` is the
    most bytes.
    """
    if problem := problem_with(url):
        raise FetchError(f"The URL will not do: {problem}")
    if not SLOTS.acquire(blocking=False):
        raise TooBusyError("Too much is being fetched at the moment; try again.")
    try:
        if PER_HOST.spend(urlsplit(url).hostname):
            raise TooBusyError("Too much was fetched from this host; try again in ten minutes.")
        return Fetch(url).read(kinds, limit)
    except (OSError, http.client.HTTPException, ValueError):
        raise FetchError(UNREACHABLE) from None
    finally:
        SLOTS.release()


class Fetch(http.client.HTTPSConnection):
    """One GET of a URL that has no problem, ended by its deadline."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.tls = ssl.create_default_context()
        self.tls.sslsocket_class = TimedSocket
        super().__init__(parts.hostname, parts.port or 443, context=self.tls)
        self.target = "/" + url.removeprefix("https://").partition("/")[2]

    def read(self, kinds, limit):
        self.addresses = public_addresses(self.host, self.port)[:MOST_ADDRESSES]
        self.deadline = time.monotonic() + SECONDS
        agent = f"Pawprint (+{settings.PUBLIC_URL})"
        try:
            self.request(
                "GET", self.target, headers={"Accept": ", ".join(kinds), "User-Agent": agent}
            )
            response = self.getresponse()
            if response.status != 200:  # nor where a redirect leads
                raise FetchError(f"The host answered {response.status}, not 200.")
            media_type = response.headers.get_content_type()
            if not any(fnmatchcase(media_type, kind) for kind in kinds):
                raise FetchError(f"What is there is none of {', '.join(kinds)}.")
            body = response.read(limit + 1)
        finally:
            self.close()
        if len(body) > limit:
            raise FetchError(f"What is there is larger than {limit:,} bytes.")
        return body, response.headers

    def connect(self):
        """Connect to an address that was checked; the certificate must be the host's."""
        for left in range(len(self.addresses), 0, -1):
            # Each gets its share, so that one that does not answer leaves time for the next.
            wait = (self.deadline - time.monotonic()) / left
            try:
                plain = socket.create_connection((self.addresses[-left], self.port), max(wait, 0.1))
                break
            except OSError:
                if left == 1:
                    raise
        plain.settimeout(max(self.deadline - time.monotonic(), 0.1))
        self.sock = self.tls.wrap_socket(plain, server_hostname=self.host)
        self.sock.deadline = self.deadline


class TimedSocket(ssl.SSLSocket):
    """A timeout counts from one packet to the next, and somebody slow never reaches it; this
    socket reads until its deadline."""

    deadline = None

    def recv_into(self, *args, **kwargs):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*args, **kwargs)


def public_addresses(host, port):
    """Return the addresses of `host`; FetchError if any of them is none to connect to.

    Any, so that a name with one good address does not smuggle in a bad one.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [sockaddr[0] for *_, sockaddr in found]
    if not addresses or not all(map(is_allowed, addresses)):
        raise FetchError(UNREACHABLE)
    return addresses


def is_allowed(address):
    """Return whether `address` is public, or in a network of the setting METADATA_NETWORKS."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6:
        # An IPv4 address in IPv6 clothes is the IPv4 address.
        ip = ip.ipv4_mapped or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else ip)
    return is_public(ip) or any(ip in network for network in settings.METADATA_NETWORKS)


def is_public(ip):
    """Return whether `ip` is of the public internet (RFC 6890)."""
    if ip.version == 6:
        # 6to4 and Teredo are tunnels to IPv4 addresses of anybody's choice.
        return ip in GLOBAL_UNICAST and ip.is_global and not (ip.sixtofour or ip.teredo)
    return ip.is_global and not ip.is_multicast
