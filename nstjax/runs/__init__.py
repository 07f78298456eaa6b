"""A config to a run folder."""
