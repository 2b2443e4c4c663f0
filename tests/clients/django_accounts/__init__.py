"""Django's models over the twins' tables, as `inspectdb` would have written them for the plain one."""
