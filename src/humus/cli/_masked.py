"""A configuration as it may be shown: plain values, every secret replaced by `***`.

What counts as a secret: pydantic's secret types; fields that are kept out of their `repr`; keys whose name says so;
all of a client's `sasl.` keys; and inside of text the user part of a URL, `password=...` and the like, and private
keys. What came out of a file is one too, which only the file's tree knows (`without`). It rather hides too much.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel

from humus.queue.kafka._retry import FailurePolicy

__all__ = ["MASK", "hidden", "masked", "without"]

MASK: Final = "***"

_SECRET_WORDS: Final = frozenset(
    (
        *(
            "password",
            "passwords",
            "passwd",
            "pwd",
            "pass",
            "passphrase",
            "pem",
            "jaas",
            "salt",
            "signature",
            "sig",
            "sas",
        ),
        *("secret", "secrets", "token", "tokens", "credential", "credentials", "apikey", "authorization", "auth"),
        *("cookie", "cookies", "dsn", "header", "headers", "webhook", "salt", "signature", "sig", "sas"),
    )
)
_SECRET_LAST: Final = frozenset({"key", "keys"})
"""Secret at a name's end: `stripe_key` is one, `key_file` is none."""
_NO_SECRETS: Final = frozenset({"sasl.mechanism", "sasl.mechanisms"})
_SASL: Final = "sasl."

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_USER_OF_URL: Final = re.compile(r"://\S*@")
_PAIR: Final = re.compile(r"(?P<name>[\w.\-]+)(?P<equals>\s*=\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s&;,]+)")
_PEM: Final = "-----BEGIN"


def masked(value: Any, *, by_name: bool = True) -> Any:
    """Return a value as plain lists, dictionaries and scalars, without its secrets.

    `by_name`: whether a key's name can make its value a secret; humus's own objects say by themselves what is one.
    """
    match value:
        case None | bool() | int() | float():
            shown: Any = value
        case FailurePolicy():
            shown = value.kind.value if value.topic is None else {value.kind.value: value.topic}
        case BaseModel():
            shown = _of_model(value)
        case Mapping():
            shown = {str(key): _under(str(key), one, by_name=by_name) for key, one in value.items()}
        case Sequence() | AbstractSet() if not isinstance(value, str | bytes):
            shown = [masked(one, by_name=by_name) for one in value]
        case _ if hasattr(value, "get_secret_value"):
            shown = MASK
        case _ if dataclasses.is_dataclass(value):
            shown = _of_dataclass(value)
        case bytes():
            shown = _without_secrets(value.decode("utf-8", "replace"))
        case Enum():
            shown = masked(value.value)
        case _:
            shown = _without_secrets(str(value))
    return shown


def hidden(value: Any) -> Any:
    """Return the shape of a value of which nothing is known: keys, and no text or number."""
    if isinstance(value, Mapping):
        return {str(key): hidden(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hidden(one) for one in value]
    return value if value is None or isinstance(value, bool) else MASK


def without(shown: Any, texts: AbstractSet[str]) -> Any:
    """Return what `masked` made without these texts, wherever they stand in a value."""
    match shown:
        case Mapping():
            return {key: without(one, texts) for key, one in shown.items()}
        case list():
            return [without(one, texts) for one in shown]
        case str():
            for text in sorted(texts, key=len, reverse=True):
                shown = shown.replace(text, MASK)
            return shown
        case int() | float() if not isinstance(shown, bool) and str(shown) in texts:
            return MASK
    return shown


def _of_model(model: BaseModel) -> dict[str, Any]:
    shown = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        secret = field.repr is False and not isinstance(value, Mapping | None)
        shown[field.alias or name] = MASK if secret else _under(field.alias or name, value, by_name=True)
    return shown | {name: hidden(value) for name, value in (model.model_extra or {}).items()}


def _of_dataclass(value: Any) -> dict[str, Any]:
    ours = type(value).__module__.startswith("humus.")
    shown = {}
    for field in dataclasses.fields(value):
        one = getattr(value, field.name)
        if one is None or one == ():  # not given
            continue
        shown[field.name] = MASK if not field.repr else _under(field.name, one, by_name=not ours)
    return shown


def _under(key: str, value: Any, *, by_name: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if by_name and _is_secret(key):
        return MASK
    return masked(value, by_name=by_name)


def _is_secret(name: str) -> bool:
    if name.lower() in _NO_SECRETS:
        return False
    if name.lower().startswith(_SASL):
        return True
    words = [word.lower() for word in _WORD.findall(name)]
    return not _SECRET_WORDS.isdisjoint(words) or (bool(words) and words[-1] in _SECRET_LAST)


def _without_secrets(text: str) -> str:
    if _PEM in text:
        return MASK
    text = _USER_OF_URL.sub(f"://{MASK}@", text)
    return _PAIR.sub(
        lambda found: f"{found['name']}{found['equals']}{MASK}" if _is_secret(found["name"]) else found[0], text
    )
