"""What the way of a message costs, counted and not timed: the same number in every run, on every machine.

Counted are the instructions of Python's virtual machine that the runtime executes, in the poll thread, the workers and
the application's loop, on a fixed input. The real poll loop, client, core and workers run; the consumer underneath is
ours, and so are its records, whose methods are of Python: what C code asks of each record (`map(Record.key, records)`)
counts too. Time that is spent within C is not seen.

- `instructions.py`: the counter
- `consumer.py`: a consumer that has everything, and records that can be counted
- `paths.py`: the ways a message can go, and what each costs

`python -m tests.cost` prints the figures that `tests/unit/test_cost.py` has in its table.
"""
