"""Every claim of the study notes as an experiment: real servers and clients, and a figure."""
