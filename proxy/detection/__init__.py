"""Detection: what is counted before rows are released, what is found in the access log, and what is done about it.

settings                 [detection] of the configuration: a mode and numbers for each detector
finding                  what a detector has found
guard                    asked before a part of a result is released: by budgets, honey and who is contained
budget, subjects, shared     cells and different subjects per login and window, in memory that workers share
honey, honey_file        rows and columns that no real use reads; [io] the file of them
restraint, containment   what a contained login may still do; [io] the file of who is
force, state_file        [io] keeps both in force in a process, and tells the others
watch                    the detectors that follow the access log: events in, findings out
seen, signal, profile    what they look at of an event, what they say of it, and what is kept of a login
windows, peaks, known    counting within a time; what is usual for a login, and what it was seen with
failed_logins, enumeration, refusals, bulk_export, volume, novelty, silence      one detector each
"""
