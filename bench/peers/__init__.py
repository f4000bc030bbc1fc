"""Other runtimes and clients, each doing the same work in a process and an environment of its own.

A module here that ends in `_peer` is such a process: `PYTHON -m bench.peers.NAME ORDER`. Its Python has what
`requirements/` locks for it, and neither humus nor this project's own client, so it imports nothing of the bench but
`bench.work`. `go/` is a program of its own.

    catalogue       which peers there are, how each is configured, and where its documentation says so
    environments    makes their environments on demand, or says what is missing
"""
