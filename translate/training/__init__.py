"""From a method and data to a run folder: the loop, what a step may use, and what is saved."""
