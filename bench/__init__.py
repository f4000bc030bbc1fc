"""What the runtime costs, measured against the bare client on a real Apache Kafka. `python -m bench --help`.

Every measurement is a process of its own (`--candidate NAME`), started by the conductor, which makes the broker and the
topics and writes the results.

    candidates      the table of all of them
    throughput      bare loops and runtimes over the same records
    latency         from produce to processor, at a steady rate
    memory          large records, slow processors
    instruments     what a candidate measures itself with
    child           the conductor's side of a candidate's process
    topics          makes and fills topics
    modes           which candidates, on which topic, told in which columns
    conductor       rounds, one candidate after the other
    machine         what it ran on, and who else was busy
    series, report  medians, tables, files
"""
