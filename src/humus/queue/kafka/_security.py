"""How the runtime proves who it is and whom it talks to: `TLS`, `SASL`, and their librdkafka keys.

Secrets are kept out of every `repr` and every message; `security_config` is the one place that hands them on.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from humus.errors import ConfigError

__all__ = ["SASL", "TLS", "Mechanism", "Token", "security_config"]

Token = Callable[[], tuple[str, float]]
"""Returns an OAuth token and when it expires, in seconds since the epoch."""

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

_BY_PASSWORD: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_OAUTH: Final = "OAUTHBEARER"
_MECHANISMS: Final = (*_BY_PASSWORD, _OAUTH)

_Value = str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """Encrypts the connections to the brokers. `TLS()` trusts the certificate authorities of the system.

    Args:
        ca_file: PEM file, or a folder of them, with the certificate authorities to trust instead.
        cert_file: PEM file with this client's own certificate, where the brokers ask for one; needs `key_file`.
        key_file: PEM file with the private key of `cert_file`.
        key_password: opens `key_file`. Never shown.
        verify: whether the broker's certificate and host name are checked. Without, anybody can pose as the broker.

    Raises:
        ConfigError: a file that is not there, or half of a pair; all faults at once.
    """

    ca_file: str | os.PathLike[str] | None = None
    cert_file: str | os.PathLike[str] | None = None
    key_file: str | os.PathLike[str] | None = None
    key_password: str | None = field(default=None, repr=False)
    verify: bool = True

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ConfigError(f"TLS: {fault}" for fault in faults)

    def _faults(self) -> list[str]:
        faults = [
            fault
            for name in ("ca_file", "cert_file", "key_file")
            if (fault := _file_fault(name, getattr(self, name), folder=name == "ca_file")) is not None
        ]
        if self.cert_file is not None and self.key_file is None:
            faults.append("cert_file without key_file: give the private key of the certificate as well")
        if self.key_file is not None and self.cert_file is None:
            faults.append("key_file without cert_file: give the certificate of the key as well")
        if self.key_password is not None and self.key_file is None:
            faults.append("key_password without key_file: there is no key that it could open")
        for name, kind, expected in (("key_password", str | None, "a string"), ("verify", bool, "True or False")):
            if not isinstance(getattr(self, name), kind):
                faults.append(f"{name} must be {expected}; it is a {type(getattr(self, name)).__name__}")
        return faults


@dataclass(frozen=True, slots=True, kw_only=True)
class SASL:
    """Says to the brokers who this client is.

    PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 need `username` and `password`. OAUTHBEARER needs either `token`, or the
    client credentials of an OpenID Connect provider: `token_endpoint`, `client_id`, `client_secret`, maybe `scope`.
    Without `TLS`, PLAIN and OAUTHBEARER send secrets that can be read on the way.

    Args:
        mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.
        username: with a password.
        password: with a user name. Never shown.
        token: a plain function that returns an OAuth token and when it expires (seconds since the epoch). It is
            called when a new token is due, one call at a time, on a thread of a client of the runtime, and must return
            within seconds.
        token_endpoint: the provider's URL that gives out tokens.
        client_id: this application's name at the provider.
        client_secret: its secret. Never shown.
        scope: what to ask the provider for.

    Raises:
        ConfigError: something is missing, or does not belong to this mechanism; all faults at once.
    """

    mechanism: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: Token | None = field(default=None, repr=False)
    token_endpoint: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scope: str | None = None

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ConfigError(f"SASL: {fault}" for fault in faults)

    def _faults(self) -> list[str]:
        if self.mechanism not in _MECHANISMS:
            return [f"mechanism must be one of {', '.join(_MECHANISMS)}; it is {self.mechanism!r}"]
        given = {name for name in (*_PASSWORD_FIELDS, "token", *_OIDC_FIELDS) if getattr(self, name) is not None}
        faults = [
            f"{name} must be a string that is not empty"
            for name in (*_PASSWORD_FIELDS, *_OIDC_FIELDS)
            if name in given and (not isinstance(getattr(self, name), str) or not getattr(self, name))
        ]
        if self.token is not None and (not callable(self.token) or inspect.iscoroutinefunction(self.token)):
            faults.append("token must be a plain function without arguments that returns (token, expires_at)")
        needed, allowed = self._rule(given)
        faults += [f"{self.mechanism} needs {name}" for name in needed if name not in given]
        faults += [f"{name} has no meaning with {self._kind(given)}: leave it out" for name in sorted(given - allowed)]
        return faults

    def _rule(self, given: set[str]) -> tuple[tuple[str, ...], set[str]]:
        """Return what this mechanism needs and what it allows."""
        if self.mechanism != _OAUTH:
            return _PASSWORD_FIELDS, set(_PASSWORD_FIELDS)
        if "token" in given:
            return ("token",), {"token"}
        if given.isdisjoint(_OIDC_FIELDS):
            return ("token (a function), or token_endpoint, client_id and client_secret",), set()
        return ("token_endpoint", "client_id", "client_secret"), set(_OIDC_FIELDS)

    def _kind(self, given: set[str]) -> str:
        return f"{self.mechanism} by token" if "token" in given and self.mechanism == _OAUTH else self.mechanism


_PASSWORD_FIELDS: Final = ("username", "password")
_OIDC_FIELDS: Final = ("token_endpoint", "client_id", "client_secret", "scope")

_TLS_KEYS: Final = {
    "ca_file": "ssl.ca.location",
    "cert_file": "ssl.certificate.location",
    "key_file": "ssl.key.location",
    "key_password": "ssl.key.password",
}
_SASL_KEYS: Final = {
    "mechanism": "sasl.mechanisms",
    "username": "sasl.username",
    "password": "sasl.password",
    "token_endpoint": "sasl.oauthbearer.token.endpoint.url",
    "client_id": "sasl.oauthbearer.client.id",
    "client_secret": "sasl.oauthbearer.client.secret",
    "scope": "sasl.oauthbearer.scope",
}
_PROTOCOLS: Final = {
    (True, False): "ssl",
    (False, True): "sasl_plaintext",
    (True, True): "sasl_ssl",
}


def security_config(tls: TLS | None, sasl: SASL | None) -> dict[str, _Value]:
    """Return the librdkafka keys of both, secrets included; empty when neither is given.

    `SASL.token` is no key: the client calls it whenever librdkafka asks for a token.
    """
    config: dict[str, _Value] = {}
    if tls is not None:
        paths = {name: getattr(tls, name) for name in _TLS_KEYS}
        config |= {_TLS_KEYS[name]: os.fspath(path) for name, path in paths.items() if path is not None}
        config["enable.ssl.certificate.verification"] = tls.verify
    if sasl is not None:
        values = {name: getattr(sasl, name) for name in _SASL_KEYS}
        config |= {_SASL_KEYS[name]: value for name, value in values.items() if value is not None}
        if sasl.token_endpoint is not None:
            config["sasl.oauthbearer.method"] = "oidc"
    if config:
        config["security.protocol"] = _PROTOCOLS[tls is not None, sasl is not None]
    return config


def _file_fault(name: str, value: object, *, folder: bool) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        return f"{name} must be the path of a file; it is {value!r}"
    path = Path(value)
    if not path.exists():
        return f"{name}: there is no file {str(path)!r} (looked for at {str(path.absolute())!r})"
    if path.is_dir() and not folder:
        return f"{name}: {str(path)!r} is a folder, not a file"
    if not os.access(path, os.R_OK):
        return f"{name}: {str(path)!r} may not be read by this user"
    return None
