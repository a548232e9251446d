"""Choose a proxy from the usual environment variables.

The first of these that is set counts: `wss_proxy` (for `ws://` servers `ws_proxy`), `socks_proxy`,
`https_proxy`, for `ws://` servers `http_proxy`, and `all_proxy`; also in capitals. No proxy is used
for servers on this machine and those in `no_proxy` (hosts, domains, networks such as 10.0.0.0/8).
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ["proxy_for", "shown_proxy"]

_SCHEMES = {
    "http": "http",
    "https": "https",
    "socks": "socks5h",
    "socks4": "socks4",
    "socks4a": "socks4a",
    "socks5": "socks5",
    "socks5h": "socks5h",
}
"""Schemes of a proxy, and the WebSocket library's names for them."""
_SOCKS_PORT = 1080


def proxy_for(url: str) -> str | None:
    """Return the address of the proxy for the server at `url`; None: connect directly.

    Raises:
        ValueError: the configured proxy is invalid; the message is for the user.
    """
    server = urlsplit(url)
    is_secure = server.scheme == "wss"
    port = server.port or (443 if is_secure else 80)
    known = getproxies()
    if proxy_bypass(f"{server.hostname}:{port}"):
        return None
    if _is_in_network(server.hostname or "", known.get("no", "")):
        return None
    names = [
        "wss" if is_secure else "ws",
        "socks",
        "https",
        *([] if is_secure else ["http"]),
        "all",
    ]
    name = next((name for name in names if known.get(name)), None)
    if name is None:
        return None
    given = known[name].strip()
    if name == "socks" and given.startswith("http://"):  # desktop settings store it this way
        given = given.removeprefix("http://")
    if "://" not in given:
        given = f"{'socks5h' if name == 'socks' else 'http'}://{given}"
    return _check(given)


def shown_proxy(proxy: str) -> str:
    """Return the address of a proxy without user and password."""
    scheme, separator, rest = proxy.partition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _is_in_network(host: str, no_proxy: str) -> bool:
    """Whether `host` is an address in one of the networks in `no_proxy`."""
    with suppress(ValueError):
        address = ip_address(host)
        for entry in no_proxy.split(","):
            with suppress(ValueError):  # a host name
                if address in ip_network(entry.strip(), strict=False):
                    return True
    return False


def _check(given: str) -> str:
    shown = shown_proxy(given)
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"the proxy {shown} is not an address such as http://host:port") from None
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None:
        known = ", ".join(_SCHEMES)
        raise ValueError(f"the proxy {shown} has an unknown scheme; use one of {known}")
    if not host or port == 0 or not host.isprintable():
        raise ValueError(
            f"the proxy {shown} has no host and port; use an address such as http://host:port"
        )
    if port is None and scheme.startswith("socks"):
        port = _SOCKS_PORT  # the library's default would be 80
    user = ""
    if parts.username is not None:  # the library requires a password, which may be empty
        name, password = (
            quote(unquote(each or ""), safe="") for each in (parts.username, parts.password)
        )
        user = f"{name}:{password}@"
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{user}{host}{'' if port is None else f':{port}'}"
