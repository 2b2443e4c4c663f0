"""Building: the hot modules compiled with mypyc. Not part of what is installed."""
