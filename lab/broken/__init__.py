"""A right server, and the same with one bug planted: what the checks are checked with.

    python lab/broken BUG [PORT]

Each bug is a subclass that overrides what it spoils, in the module of the rung whose
check has to see it. The right one, `right`, is a coroutine for each client, and has
nothing in common with the seven steps but the line that says where it serves.
"""
