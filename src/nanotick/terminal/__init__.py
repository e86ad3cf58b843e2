"""What a running engine shows on a terminal."""
