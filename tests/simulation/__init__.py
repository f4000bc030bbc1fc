"""A world of simulated time around the core: a group of members, their logs, and all that goes wrong.

- `broker`: the partitions' logs and committed offsets, and what became of each record.
- `group`: the coordinator: members, generations, who owns what; a frozen member is removed and does not know it.
- `client`: what the real client does with assignments, pauses, pending revokes and positions.
- `worker`: a worker's contract, with handlers that are quick, slow, stuck, failing, or swallow their cancellation.
- `member`: one process at a time: the loop around the core, with the guarantees checked at every step.
- `shell`: a member whose process is the real poll loop with real async workers, over a virtual clock.
- `world`: all of them, and how large they are.
- `storm`: what happens: steps drawn from a seed; then calm, after which everything must be handled and committed.
- `shrink`, `report`: a failing run as its shortest schedule. `search`: many seeds over all cores. `__main__`: by hand.

A run is its list of steps and nothing else, so a seed that fails fails again, and any part of the list can be tried.
"""
