"""What is said of a user's exception: in bounds, whatever it is, and never the record itself."""

import json

import pydantic
import pytest

from humus.queue._describe import MAX_MESSAGE, MAX_STACK, error_message, error_stack, error_type


class MuteError(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def raised(error: Exception, deep: int = 0) -> Exception:
    """Return the exception as it is after being raised so many calls deep."""

    def raise_it(left: int) -> None:
        if left:
            raise_it(left - 1)
        raise error

    with pytest.raises(type(error)):
        raise_it(deep)
    return error


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError(), "ValueError"),
        (json.JSONDecodeError("x", "y", 0), "json.decoder.JSONDecodeError"),
        (MuteError(), f"{__name__}.MuteError"),
    ],
)
def test_the_type_is_its_qualified_name(error: Exception, name: str) -> None:
    """A built-in exception's name is bare, any other's tells where it comes from."""
    assert error_type(error) == name


def test_an_exception_whose_str_raises_is_described_all_the_same() -> None:
    """A broken `__str__` must not hide the failure it describes."""
    assert error_message(MuteError()) == "(its message cannot be read: ZeroDivisionError)"


@pytest.mark.parametrize("text", ["x" * 5_000_000, "ä" * 5000, "€" * 5000, "😀" * 5000])
def test_a_huge_message_is_cut_at_a_character(text: str) -> None:
    """D32: at most 1 KiB of UTF-8 is kept, and it stays UTF-8."""
    message = error_message(ValueError(text))
    assert MAX_MESSAGE - 4 <= len(message.encode()) <= MAX_MESSAGE
    assert message.endswith("...")
    assert text.startswith(message[:-3])


def test_a_message_that_fits_is_kept() -> None:
    """D32: exactly 1 KiB is not too much."""
    assert error_message(ValueError("x" * MAX_MESSAGE)) == "x" * MAX_MESSAGE


def test_half_a_surrogate_is_escaped() -> None:
    """Text that is no Unicode still makes a line of log."""
    assert error_message(ValueError("a\ud800b")) == "a\\ud800b"


class Order(pydantic.BaseModel):
    """What a processor might validate a record with."""

    amount: float
    name: str


@pytest.mark.parametrize("value", [b'{"amount": "secret-amount", "name": 3}', b"secret-garbage", b'{"secret-key": 1}'])
def test_pydantics_input_is_never_shown(value: bytes) -> None:
    """A validation error's own text repeats the record: only where and why is kept."""
    with pytest.raises(pydantic.ValidationError) as caught:
        Order.model_validate_json(value)
    message = error_message(caught.value)
    assert "secret" not in message
    assert "Order" in message


def test_pydantics_faults_are_named_by_place() -> None:
    """Without the input there is still something to look for."""
    with pytest.raises(pydantic.ValidationError) as caught:
        Order.model_validate_json(b'{"amount": "secret"}')
    assert "amount: " in error_message(caught.value)
    assert "name: Field required" in error_message(caught.value)


def test_the_stack_is_frames_and_no_message() -> None:
    """D32: where it was raised, not what was said."""
    stack = error_stack(raised(ValueError("secret"), deep=2))
    assert "raise_it" in stack
    assert "secret" not in stack


def test_a_deep_stack_keeps_its_innermost_end() -> None:
    """D32: at most 8 KiB, of the frames that are nearest to the failure."""
    stack = error_stack(raised(ValueError(), deep=300))
    assert len(stack.encode()) <= MAX_STACK
    assert stack.rstrip().splitlines()[-1].strip().startswith(("raise error", "^"))


def test_an_exception_that_was_never_raised_has_no_stack() -> None:
    """An error that was only made has nothing to show."""
    assert error_stack(ValueError()) == ""
