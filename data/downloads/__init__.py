"""Files from the web, checked, and unpacked safely."""
