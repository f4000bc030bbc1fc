"""What a look at a broker's certificate says, where there is none to look at."""

import socket
import threading

import pytest

from humus.queue.kafka._handshake import certificate_fault
from humus.queue.kafka._security import TLS


@pytest.mark.parametrize(
    "reason",
    [
        "Failed to verify broker certificate",
        "sasl_plaintext://127.0.0.1:1/bootstrap: certificate verify failed",
        "ssl://127.0.0.1:1/bootstrap: certificate verify failed",
        "ssl://[::1]:1/1: certificate verify failed",
        "sasl_ssl://nobody.invalid:9093/bootstrap: certificate verify failed",
        "ssl://127.0.0.1:99999/1: certificate verify failed",
    ],
)
def test_where_nobody_shows_one_nothing_is_said(reason: str) -> None:
    """D70: then what the client said has to do."""
    assert certificate_fault(reason, TLS()) is None


def test_who_answers_with_something_else() -> None:
    """D70: a listener that speaks no TLS shows no certificate either."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = listening.getsockname()[1]
        assert certificate_fault(f"ssl://127.0.0.1:{port}/bootstrap: no", TLS()) is None
        thread.join(30)
