"""The access log and the operations logs.

Read `event` (what callers import: values and builders), `values`, then `datastore`, `identity`, `finding`
and `lifecycle` (one OCSF class each, on `ocsf` and `origin`), `entry` (an event as JSON) and `template` (the
events of executions, of which there is one per statement), `statement` and `text` (what of a client's words is shown). `log` writes the
access log (on `log_file`; `log_state` is what several processes share of it); `operations` and `failure` are the logs for operators.
Only `log`, its two parts and `operations` do I/O.
"""
