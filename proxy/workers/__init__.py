"""Several processes that serve one port: `[listen] workers` above 1 (docs/adr/0018).

supervisor     [io] owns the port: accepts, hands each client to the worker that has fewest; starts, reloads, ends them
worker         [io] one process: its own event loop, control connection and sessions
channel        [io] the messages between the two
crowd          [io] who has how many clients, in shared memory
sockets        [io] the port
"""
