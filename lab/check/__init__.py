"""`python -m lab check`: what a server can do and what it cannot, in any language.

The checks are in a module for each rung, from what a server of one client at a time
can do up to ten thousand clients. They know nothing of a server but the protocol, its
port and, where it was started here, its process.
"""
