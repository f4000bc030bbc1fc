"""What the runtime costs, against the bare client and its peers on a real Apache Kafka. `python -m bench --help`.

Every measurement is a process of its own, started by the conductor, which makes broker and topics and writes the
results. What such a process imports is kept apart from what the conductor needs: its memory is measured.

In a candidate's process:

    candidates      the table of our own (`python -m bench --candidate NAME`)
    throughput      bare loops and runtimes over the same records
    latency         from produce to processor, at a steady rate
    memory          large records, slow processors
    partitions      a thousand partitions, idle and busy
    members         several in a group: while it changes, and side by side
    telemetry       metrics and traces, and the SDK's own calls
    instruments     what our own candidates measure themselves with
    work            what everybody is told, and what they did; all that a peer's process needs
    peers/          other runtimes and clients, each in an environment of its own

In the conductor's:

    conductor       rounds, one candidate after the other
    child           the conductor's side of a candidate's process
    mode, modes/    which candidates, on which topic, told in which columns
    topics          makes and fills topics
    machine         what it ran on, and who else was busy
    pace            how long it will still take
    series, report  medians, tables, files
    plot, readme    what the README shows of the throughput
"""
