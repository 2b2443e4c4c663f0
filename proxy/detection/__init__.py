"""Detection: what is counted before rows are released, what is found in the access log, and what is done about it.

settings        [detection] of the configuration: a mode and numbers for each detector
finding         what a detector has found
"""
