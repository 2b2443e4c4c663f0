"""Detection: what is counted before rows are released, what is found in the access log, and what is done about it.

settings                 [detection] of the configuration: a mode and numbers for each detector
finding                  what a detector has found
guard                    asked before a part of a result is released: by budgets, honey and who is contained
budget, subjects, shared     cells and different subjects per login and window, in memory that workers share
honey, honey_file        rows and columns that no real use reads; [io] the file of them
restraint, containment   what a contained login may still do; [io] the file of who is
force, state_file        [io] keeps both in force in a process, and tells the others
"""
