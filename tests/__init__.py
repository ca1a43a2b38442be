"""The contract all seven servers keep, and the tests of those tests."""
