"""For tests of services: a broker in the process, messages from nothing, and a processor run as the runtime would."""

from humus.testing._broker import KafkaBroker, kafka_broker
from humus.testing._deliver import Outcome, deliver
from humus.testing._message import message

__all__ = ["KafkaBroker", "Outcome", "deliver", "kafka_broker", "message"]
