"""Broken servers: what the checks, the bench and the claims are shown with.

    python lab/broken NAME [PORT]

`right` is a coroutine for each client, and has nothing in common with the seven steps but the
line that says where it serves. Each bug is a subclass that overrides what it spoils, in the
module of the rung whose check has to see it. What only a step can show is in `steps.py`.
"""
