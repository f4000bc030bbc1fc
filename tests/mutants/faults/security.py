"""Faults of who is let in, and of what is said when nobody is."""

from typing import Final

from tests.mutants.mutant import KAFKA, Mutant

__all__ = ["MUTANTS"]

_FAULTS: Final = "tests/integration/test_security_faults.py::"

MUTANTS: Final = (
    Mutant(
        name="other-clients-verify",
        clause="D70",
        breaks="with `verify: false` the lookout cannot connect, and no partition ever begins, silently",
        file=f"{KAFKA}_client_config.py",
        text='"https.", "enable.sasl.", "enable.ssl."',
        instead='"https."',
        killed_by="tests/unit/test_settings.py::test_other_clients_of_the_runtime_connect_as_the_consumer_does",
    ),
    Mutant(
        name="a-token-a-client",
        clause="D70",
        breaks="each client of the runtime asks the user's function for a token of its own",
        file=f"{KAFKA}_tokens.py",
        text="_SHARED_FOR = 0.5",
        instead="_SHARED_FOR = 0.0",
        killed_by="tests/unit/test_tokens.py::test_a_token_is_shared_for_half_its_life",
    ),
    Mutant(
        name="token-function-that-tells",
        clause="D70",
        breaks="what the user's token function raised is logged with its text, which may hold a secret",
        file="humus/queue/_logging.py",
        text="isinstance(error, ProcessingFailed | AuthenticationFailed)",
        instead="isinstance(error, ProcessingFailed)",
        killed_by="tests/integration/test_secrets.py::test_a_service_that_is_refused",
        slow=True,
    ),
    Mutant(
        name="letters-of-a-broken-producer",
        clause="D32",
        breaks="a dead letter of a user who may write nothing is refused without the reason",
        file=f"{KAFKA}_letter_box.py",
        text="why = cause or error",
        instead="why = error",
        killed_by=f"{_FAULTS}test_a_dead_letter_topic_that_may_not_be_written",
        slow=True,
    ),
    Mutant(
        name="certificate-not-looked-at",
        clause="D70",
        breaks="what is wrong with a broker's certificate is not said",
        file=f"{KAFKA}_loop.py",
        text="self._fail(self._explained(found).exception())",
        instead="self._fail(found.exception())",
        killed_by=f"{_FAULTS}test_what_ends_the_runtime",
        slow=True,
    ),
    Mutant(
        name="secret-with-its-line-end",
        clause="CONFIG",
        breaks="a password out of a file ends with the line end that an editor left there",
        file="humus/config/_files.py",
        text='.rstrip("\\r\\n")',
        instead="",
        killed_by="tests/unit/test_config_files.py::test_a_file_gives_its_text",
    ),
)
