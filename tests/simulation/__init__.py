"""A world of simulated time around the core: a broker's logs, a client, workers, a loop, and all that goes wrong.

- `broker`: the partitions' logs and committed offsets, and what became of each record.
- `client`: what the real client does with assignments, pauses, pending revokes and positions.
- `worker`: a worker's contract, with handlers that are quick, slow, stuck, failing, or swallow their cancellation.
- `world`: one process at a time: the loop around the core, with the guarantees checked at every step.
- `storm`: what happens, drawn from a seed; then calm, after which everything must be handled and committed.

Everything is drawn from one seeded generator, so a seed that fails fails again, with the list of what happened.
"""
