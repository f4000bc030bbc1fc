"""TLS and SASL: what is missing is named, what is secret is not."""

from pathlib import Path
from typing import Any

import pytest

from humus.errors import ConfigError
from humus.queue.kafka._security import SASL, TLS, security_config

_HIDDEN = "hunter2"
_PROVIDER = "https://provider/token"


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A file that is there."""
    path = tmp_path / "some.pem"
    path.write_text("not read here")
    return path


def _faults(make: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        make(**options)
    return caught.value.faults


def test_neither_sets_no_key() -> None:
    """Without both options security is left to the `librdkafka` option."""
    assert security_config(None, None) == {}


def test_tls_with_client_certificate(pem: Path) -> None:
    """All of TLS arrives at the client, under its own keys."""
    tls = TLS(ca_file=pem.parent, cert_file=str(pem), key_file=pem, key_password=_HIDDEN)
    assert security_config(tls, None) == {
        "security.protocol": "ssl",
        "ssl.ca.location": str(pem.parent),
        "ssl.certificate.location": str(pem),
        "ssl.key.location": str(pem),
        "ssl.key.password": _HIDDEN,
        "enable.ssl.certificate.verification": True,
    }


def test_sasl_by_password_with_and_without_tls() -> None:
    """The protocol follows from which of both options are given."""
    sasl = SASL(mechanism="SCRAM-SHA-512", username="u", password=_HIDDEN)
    expected = {"sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": _HIDDEN}
    assert security_config(None, sasl) == {**expected, "security.protocol": "sasl_plaintext"}
    both = security_config(TLS(verify=False), sasl)
    assert both == {**expected, "security.protocol": "sasl_ssl", "enable.ssl.certificate.verification": False}


def test_oauth_by_provider() -> None:
    """Client credentials of an OpenID Connect provider are the client's own method oidc."""
    sasl = SASL(mechanism="OAUTHBEARER", token_endpoint=_PROVIDER, client_id="me", client_secret=_HIDDEN, scope="k")
    assert security_config(TLS(), sasl) == {
        "security.protocol": "sasl_ssl",
        "enable.ssl.certificate.verification": True,
        "sasl.mechanisms": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": _PROVIDER,
        "sasl.oauthbearer.client.id": "me",
        "sasl.oauthbearer.client.secret": _HIDDEN,
        "sasl.oauthbearer.scope": "k",
    }


def test_oauth_by_token() -> None:
    """The token function is the client's callback and no key."""
    sasl = SASL(mechanism="OAUTHBEARER", token=lambda: ("t", 1.0))
    assert security_config(None, sasl) == {"security.protocol": "sasl_plaintext", "sasl.mechanisms": "OAUTHBEARER"}


def test_secrets_are_in_no_repr(pem: Path) -> None:
    """Neither `repr` nor `str` shows a password, a secret or a token."""
    shown = [
        TLS(cert_file=pem, key_file=pem, key_password=_HIDDEN),
        SASL(mechanism="PLAIN", username="u", password=_HIDDEN),
        SASL(mechanism="OAUTHBEARER", token_endpoint=_PROVIDER, client_id="me", client_secret=_HIDDEN),
    ]
    assert not any(_HIDDEN in text for one in shown for text in (repr(one), str(one), f"{one}"))


def test_missing_files_are_named_with_their_path(pem: Path) -> None:
    """Each file that is not there is a fault of its own, with the place that was looked at."""
    gone = pem.parent / "gone.pem"
    faults = _faults(TLS, ca_file=gone, cert_file=pem.parent, key_file=gone)
    assert [fault.split(":")[1].strip() for fault in faults] == ["ca_file", "cert_file", "key_file"]
    assert str(gone) in faults[0]
    assert "is a folder" in faults[1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cert_file": __file__}, "cert_file without key_file"),
        ({"key_file": __file__}, "key_file without cert_file"),
        ({"key_password": _HIDDEN}, "key_password without key_file"),
        ({"key_file": __file__, "cert_file": __file__, "key_password": 12345}, "key_password must be a string"),
        ({"verify": "no"}, "verify must be True or False"),
        ({"ca_file": ""}, "ca_file must be the path of a file"),
        ({"ca_file": 7}, "ca_file must be the path of a file"),
    ],
)
def test_tls_faults(options: dict[str, Any], says: str) -> None:
    """Half a pair and a wrong kind are faults, and none shows a password."""
    (fault,) = _faults(TLS, **options)
    assert fault.startswith("TLS: ")
    assert says in fault
    assert _HIDDEN not in fault
    assert "12345" not in fault


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mechanism": "GSSAPI"}, ["mechanism must be one of PLAIN"]),
        ({"mechanism": "plain"}, ["mechanism must be one of PLAIN"]),
        ({"mechanism": "PLAIN"}, ["PLAIN needs username", "PLAIN needs password"]),
        ({"mechanism": "PLAIN", "username": "", "password": 1}, ["username must be", "password must be"]),
        ({"mechanism": "PLAIN", "username": "u", "password": "p", "scope": "s"}, ["scope has no meaning with PLAIN"]),
        ({"mechanism": "OAUTHBEARER"}, ["OAUTHBEARER needs token (a function), or token_endpoint"]),
        ({"mechanism": "OAUTHBEARER", "client_id": "c"}, ["needs token_endpoint", "needs client_secret"]),
        ({"mechanism": "OAUTHBEARER", "token": "t"}, ["token must be a plain function"]),
        (
            {"mechanism": "OAUTHBEARER", "token": lambda: ("t", 1.0), "username": "u"},
            ["username has no meaning with OAUTHBEARER by token"],
        ),
    ],
)
def test_sasl_faults(options: dict[str, Any], says: list[str]) -> None:
    """What is missing and what does not belong to the mechanism is named, all at once."""
    faults = _faults(SASL, **options)
    assert len(faults) == len(says)
    assert all(expected in fault for expected, fault in zip(says, faults, strict=True))


def test_coroutine_function_is_no_token_function() -> None:
    """The client calls it on its own thread, where nobody awaits."""

    async def token() -> tuple[str, float]:
        return "t", 1.0

    assert "plain function" in _faults(SASL, mechanism="OAUTHBEARER", token=token)[0]
