"""An OpenID Connect provider, as far as client credentials go: signed tokens, and the key to check them by."""

import base64
import json
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.kafka.certificates import Certificate
from tests.kafka.properties import HOST

__all__ = ["Provider", "unsecured_token"]

_KEY = "humus-tests"
_LIVES = 300


class Provider:
    """Listens on two ports of 127.0.0.1, one of them with TLS; a context manager.

    It knows one client. `issued` are the tokens that it gave out, `scopes` what was asked for.
    """

    issuer = "humus-tests"
    audience = "kafka"

    def __init__(self, client_id: str, client_secret: str, certificate: Certificate) -> None:
        self._client = client_id, client_secret
        self._key = rsa.generate_private_key(65537, 2048)
        self.issued: list[str] = []
        self.scopes: list[str] = []
        self._server, self._encrypted = (ThreadingHTTPServer((HOST, 0), _handler(self)) for _ in range(2))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.both)
        # A handshake is the handler's business: nobody who does not take the certificate keeps others waiting.
        self._encrypted.socket = context.wrap_socket(
            self._encrypted.socket, server_side=True, do_handshake_on_connect=False
        )

    def __enter__(self) -> Self:
        for server in (self._server, self._encrypted):
            threading.Thread(target=server.serve_forever, name="provider", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for server in (self._server, self._encrypted):
            server.shutdown()
            server.server_close()

    @property
    def token_endpoint(self) -> str:
        """Where a client asks for tokens."""
        return f"http://{HOST}:{self._server.server_port}/token"

    @property
    def encrypted_token_endpoint(self) -> str:
        """Where it asks with TLS."""
        return f"https://{HOST}:{self._encrypted.server_port}/token"

    @property
    def keys(self) -> str:
        """Where a broker asks for the key that tokens are signed with."""
        return f"http://{HOST}:{self._server.server_port}/keys"

    def answer(self, path: str, authorization: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Answer a request: the status, and what becomes JSON."""
        if path == "/keys":
            return 200, self._jwks()
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        if tuple(given.split(":", 1)) != self._client:
            return 401, {"error": "invalid_client", "error_description": "no such client, or another secret"}
        assert form["grant_type"] == ["client_credentials"]
        self.scopes += form.get("scope", [])
        self.issued.append(self._token())
        return 200, {"access_token": self.issued[-1], "token_type": "Bearer", "expires_in": _LIVES}

    def _token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.audience, "sub": self._client[0], "iat": now, "exp": now + _LIVES}
        signed = f"{_part({'alg': 'RS256', 'typ': 'JWT', 'kid': _KEY})}.{_part(claims)}"
        return f"{signed}.{_base64url(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def _jwks(self) -> dict[str, Any]:
        public = self._key.public_key().public_numbers()
        n, e = (_base64url(number.to_bytes((number.bit_length() + 7) // 8)) for number in (public.n, public.e))
        return {"keys": [{"kty": "RSA", "kid": _KEY, "use": "sig", "alg": "RS256", "n": n, "e": e}]}


def unsecured_token(subject: str, *, lives: float = _LIVES, secret: str = "") -> tuple[str, float]:
    """Return a token that nobody has signed, and when it expires; `secret` makes it one that can be looked for."""
    now = time.time()
    claims = {"sub": subject, "iat": now - 3600, "exp": now + lives, "jti": secret}
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}.", now + lives


def _part(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # of a client that does not take our certificate
                super().handle()

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

        def _answer(self, form: dict[str, list[str]]) -> None:
            status, found = provider.answer(self.path, self.headers.get("Authorization", ""), form)
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it overrides
            """Say nothing."""

    return Handler
