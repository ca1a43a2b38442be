"""`python -m lab bench`: what each model costs, beside its peers and the limit."""
