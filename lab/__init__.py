"""Looks at the servers from outside: starts, drives and measures them."""
