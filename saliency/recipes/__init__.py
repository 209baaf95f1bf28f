"""Settings of several stages under one name."""
