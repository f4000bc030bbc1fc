"""humus: a runtime for services that process Apache Kafka messages.

Start at `humus.queue` (the application) and `humus.queue.kafka` (the runtime).
"""

from humus._version import __version__

__all__ = ["__version__"]
