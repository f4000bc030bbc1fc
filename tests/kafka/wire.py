"""The one request that no client sends on behalf of somebody else: taking a member out of its group."""

import socket
import struct

__all__ = ["remove_member"]

_LEAVE_GROUP, _VERSION = 13, 0
_WITHIN = 10.0


def remove_member(address: str, group: str, member_id: str) -> None:
    """Tell the group's coordinator at `host:port` that a member leaves, while the member itself knows nothing of it."""
    header = struct.pack(">hhi", _LEAVE_GROUP, _VERSION, 1) + _string("humus-tests")
    request = header + _string(group) + _string(member_id)
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=_WITHIN) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answers:
            (size,) = struct.unpack(">i", answers.read(4))
            _correlation, error = struct.unpack(">ih", answers.read(size))
    assert not error, f"the coordinator refused with error {error}"


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded
