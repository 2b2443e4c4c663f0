"""The access log and the operations logs.

Read `event` (what callers import: values and builders), `values`, then `datastore`, `identity`, `finding`
and `lifecycle` (one OCSF class each, on `ocsf` and `origin`), `entry` (an event as JSON) and `template` (the
events of executions, of which there is one per statement), `statement` and `text` (what of a client's words is shown). `chain` is what
makes the log evidence. `log` writes it, on `log_file` (lines, the lock), `head` (where the chain stands), `keys`, `catch_up` (what is
behind the head), `rotation` and `log_state` (what could not be written). `operations` and `failure` are the logs for operators.

Who reads the log: `reading` (files, lines, events). Who verifies it: `verify`, by `link` (a line as a link), `order`, `witnesses` (what
it is held against: `trust`, `checkpoint`, `resealed`, `copies`), into a `verdict` (`followed`, `issues`, `unchecked`).
"""
