"""The health server: whether the process lives, is ready, and what it is doing, told over HTTP.

It runs on a daemon thread with an event loop of its own, so that a blocked application loop is told and does not keep
the probe waiting. It only reads: the phase of the application, the snapshots of its runtimes, the user's own checks.
`humus.queue.run` starts it; what the runtimes have to offer is in `_facts.py`.
"""

from humus.health._facts import Phase, RuntimeFacts, Watch
from humus.health._serving import health_server

__all__ = ["Phase", "RuntimeFacts", "Watch", "health_server"]
