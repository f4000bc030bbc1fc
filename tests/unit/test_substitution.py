"""`${NAME}`: the table of OpenTelemetry's configuration data model, row by row."""

import pytest

from humus.config._scalars import core_value
from humus.config._substitution import substitute

ENVIRON = {
    "STRING_VALUE": "value",
    "BOOL_VALUE": "true",
    "INT_VALUE": "1",
    "FLOAT_VALUE": "1.1",
    "HEX_VALUE": "0xdeadbeef",
    "INVALID_MAP_VALUE": "value\nkey:value",
    "DO_NOT_REPLACE_ME": "Never use this value",
    "REPLACE_ME": "${DO_NOT_REPLACE_ME}",
    "VALUE_WITH_ESCAPE": "value$$",
    "EMPTY": "",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${STRING_VALUE}", "value"),
        ("${BOOL_VALUE}", True),
        ("${INT_VALUE}", 1),
        ("${FLOAT_VALUE}", 1.1),
        ("${HEX_VALUE}", 0xDEADBEEF),
        ("${env:STRING_VALUE}", "value"),
        ("${INVALID_MAP_VALUE}", "value\nkey:value"),
        ("foo ${STRING_VALUE} ${FLOAT_VALUE}", "foo value 1.1"),
        ("${UNDEFINED_KEY:-fallback}", "fallback"),
        ("${UNDEFINED_KEY:-}", None),
        ("${EMPTY}", None),
        ("${EMPTY:-fallback}", "fallback"),
        ("${env:EMPTY:-fall:-back}", "fall:-back"),
        ("${REPLACE_ME}", "${DO_NOT_REPLACE_ME}"),
        ("${UNDEFINED_KEY:-${STRING_VALUE}}", "${STRING_VALUE}"),
        ("$${STRING_VALUE}", "${STRING_VALUE}"),
        ("$$${STRING_VALUE}", "$value"),
        ("$$$${STRING_VALUE}", "$${STRING_VALUE}"),
        ("$${STRING_VALUE:-fallback}", "${STRING_VALUE:-fallback}"),
        ("$${STRING_VALUE:-${STRING_VALUE}}", "${STRING_VALUE:-value}"),
        ("${UNDEFINED_KEY:-$${UNDEFINED_KEY}}", "${UNDEFINED_KEY:-${UNDEFINED_KEY}}"),
        ("${VALUE_WITH_ESCAPE}", "value$$"),
        ("a $$ b", "a $ b"),
        ("a $ b", "a $ b"),
        ("$STRING_VALUE", "$STRING_VALUE"),
    ],
)
def test_table(text: str, expected: object) -> None:
    """What the specification's table says of an unquoted scalar."""
    found = substitute(text, ENVIRON)
    assert not found.faults
    assert core_value(found.text) == expected
    assert type(core_value(found.text)) is type(expected)


@pytest.mark.parametrize(
    "text", ["${STRING_VALUE:?error}", "${1API_KEY}", "${API_$KEY}", "${}", "${a b}", "${env:}", "${file:}"]
)
def test_invalid_references(text: str) -> None:
    """What looks like a reference and is none is a fault."""
    assert substitute(text, ENVIRON).faults == (
        "not a valid reference: write ${NAME}, ${NAME:-default} or ${file:PATH}, and $$ for a dollar",
    )


def test_each_unset_name_is_named() -> None:
    """Every name without a value or a default is a fault of its own: the one rule that is stricter here."""
    found = substitute("${A}-${STRING_VALUE}-${env:B}", ENVIRON)
    assert [fault.split()[3] for fault in found.faults] == ["A", "B"]
