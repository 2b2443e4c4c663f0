"""What an installation is made of: with a compiler, and without."""
