"""An application whose tables come from its migrations, run through the proxy."""
