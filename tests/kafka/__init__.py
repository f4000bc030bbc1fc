"""A real Apache Kafka for the tests: brings it, starts it, breaks it, and looks at it from the other end.

`distribution` brings the jars once, `properties` says how a broker is configured, `broker` is one process, `cluster`
one or three of them, `access` what a test gets in its hands; `records` and `admin` are quick other ends
(librdkafka's), `tools` are Kafka's own command-line tools. `python -m tests.kafka` keeps a broker running.
"""
