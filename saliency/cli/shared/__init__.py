"""What several commands need: options, parsing, devices, the process."""
