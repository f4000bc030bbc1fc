"""What librdkafka and its Python binding do, one fact a test, with the bare client on a real broker.

The runtime stands on these facts, and most of them are written down nowhere. A new client version that changes one
is noticed here, by name, and not as a strange failure of the runtime.
"""
