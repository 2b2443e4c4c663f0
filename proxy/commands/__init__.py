"""The commands of `sealgate`, one file each: `add(parser)` declares options, `run(options)` does it.

init, apply, check, serve, explain
errors      expected errors into one line and an exit code
resources   what several commands open: keyset, control connection
output      tables and JSON
"""
