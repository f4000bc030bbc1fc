"""What a service's tests need: an embedded broker."""

from humus.testing._broker import KafkaBroker, kafka_broker

__all__ = ["KafkaBroker", "kafka_broker"]
