"""Chaos: three chained consumer groups on three brokers, while members and brokers come, go, die and freeze.

Records of Kafka's own VerifiableProducer go topic 1 -> group 1 -> topic 2 -> group 2 -> topic 3 -> group 3, as in
franz-go's group ETL test. Each member is a service in a process of its own (`member`). `plan` draws the faults from a
seed, `conductor` carries them out with `crew` and `source`, `evidence` collects what is left when it is over: what the
members noted, the topics, and the commits as the broker wrote them down. `verdict` judges that, pure, and `report`
makes the table. `python -m tests.chaos --help`; the short form is `test_chaos`.
"""
