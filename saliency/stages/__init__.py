"""The stages as Python calls: each means what the command of its name means."""
