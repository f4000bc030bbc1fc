"""Arroyo: one function on the main thread, then offsets committed once a second, as its getting-started page has it."""
# pyright: reportMissingImports=false

from collections.abc import Mapping

from arroyo import Partition, Topic
from arroyo.backends.kafka import KafkaConsumer, KafkaPayload
from arroyo.backends.kafka.configuration import build_kafka_consumer_configuration
from arroyo.commit import ONCE_PER_SECOND
from arroyo.processing import StreamProcessor
from arroyo.processing.strategies import CommitOffsets, ProcessingStrategy, ProcessingStrategyFactory, RunTask
from arroyo.types import BrokerValue, Commit, Message

from bench.work import Order, Tally, take_order


class _Factory(ProcessingStrategyFactory[KafkaPayload]):
    def __init__(self, tally: Tally) -> None:
        self._note = tally.note

    def create_with_partitions(
        self, commit: Commit, _partitions: Mapping[Partition, int]
    ) -> ProcessingStrategy[KafkaPayload]:
        return RunTask(self._handle, CommitOffsets(commit))

    def _handle(self, message: Message[KafkaPayload]) -> KafkaPayload:
        value = message.value
        assert isinstance(value, BrokerValue)
        self._note(value.partition.index, value.offset)
        return value.payload


def _run(order: Order, tally: Tally) -> None:
    config = build_kafka_consumer_configuration(
        default_config={},
        bootstrap_servers=order.brokers.split(","),
        auto_offset_reset="earliest",
        group_id=order.group,
    )
    processor = StreamProcessor(
        consumer=KafkaConsumer(config),
        topic=Topic(order.topic),
        processor_factory=_Factory(tally),
        commit_policy=ONCE_PER_SECOND,
    )
    tally.at_end = processor.signal_shutdown
    processor.run()


if __name__ == "__main__":
    take_order(_run)
