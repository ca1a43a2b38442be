"""The tests of the lab: `pytest lab`."""
