"""Why a broker's certificate is not accepted: the client says that it is not, and not why.

So the broker is asked for it once more, in a handshake of our own by the same rules. It decides nothing: where it finds
nothing wrong, or nobody answers, what the client said has to do.
"""

import os
import re
import socket
import ssl
from pathlib import Path
from typing import Final

from humus.queue.kafka._security import TLS

__all__ = ["certificate_fault"]

_WITHIN: Final = 3.0
_BROKER: Final = re.compile(r"ssl://(?P<host>\S+):(?P<port>\d+)/(?:bootstrap|\d+)")
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
"""OpenSSL's numbers for what is wrong with a certificate (`X509_V_ERR_...`)."""


def certificate_fault(reason: str, tls: TLS, *, check_host: bool = True) -> str | None:
    """Say what is wrong with the certificate of the broker that the client's words name, and what to do about it.

    `None` where that is not found out. Takes up to some seconds.
    """
    broker = _BROKER.search(reason)
    if broker is None:
        return None
    host, port = broker["host"].strip("[]"), int(broker["port"])
    try:
        context = _context(tls)
        context.check_hostname = check_host
        with (
            socket.create_connection((host, port), timeout=_WITHIN) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return _says(error.verify_code, error.verify_message, host, tls)
    except (OSError, ValueError):
        return None


def _context(tls: TLS) -> ssl.SSLContext:
    if tls.ca_file is None:
        context = ssl.create_default_context()
    else:
        path = os.fspath(tls.ca_file)
        folder = Path(path).is_dir()
        context = ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the client does not ask for as much
    return context


def _says(code: int, message: str, host: str, tls: TLS) -> str:
    if code == _EXPIRED:
        return "the broker's certificate has expired: renew it on the broker"
    if code == _NOT_YET:
        return "the broker's certificate is not valid yet: check the clocks of the broker and of this machine"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return (
            f"the broker's certificate is not for {host}: put a host name that it is for into brokers (and into the "
            "broker's advertised.listeners), or have the broker use one for this name"
        )
    if code in _UNKNOWN_AUTHORITY:
        trusted = "the system" if tls.ca_file is None else f"ca_file {os.fspath(tls.ca_file)!r}"
        return (
            f"the broker's certificate is signed by an authority that {trusted} does not name: put that authority's "
            "certificate into a file, and the file into ca_file of the option tls"
        )
    return f"the broker's certificate is not accepted, {message}: check the option tls and the broker's certificate"
