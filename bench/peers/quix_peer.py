"""Quix Streams: a streaming data frame with one function, at least once, which is its default guarantee."""
# pyright: reportMissingImports=false

from quixstreams import Application, message_context

from bench.work import Order, Tally, take_order


def _run(order: Order, tally: Tally) -> None:
    note = tally.note
    app = Application(
        broker_address=order.brokers,
        consumer_group=order.group,
        auto_offset_reset="earliest",
        processing_guarantee="at-least-once",
        commit_interval=1.0,
        loglevel="WARNING",
    )
    frame = app.dataframe(app.topic(order.topic, value_deserializer="bytes"))

    def handle(_value: bytes) -> None:
        context = message_context()
        note(context.partition, context.offset)

    frame.update(handle)
    tally.at_end = app.stop
    app.run()


if __name__ == "__main__":
    take_order(_run)
