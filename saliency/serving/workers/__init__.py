"""Processes that cut photos out, so that the server itself only waits."""
