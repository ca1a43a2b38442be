"""The exercises' other half: what they are checked by, their solutions, and what is wrong.

What a learner changes is in `exercises/`, and knows nothing of this.
"""
