"""`python -m lab pages`: what the pages show of the program."""
