"""The auditor: one process beside the proxy that reads the access log as it grows. It has no data keys. [io]

process     the process: what runs in it, and its life with the proxy's
child       the proxy's side of it: started, told, restarted, ended
follow      the log's files read as they grow, over rotation and compression
cursor      where a reader stands, in a file
delivery    one sink: batches, failures, what it has for certain
sinks       [io] the receivers: stdout, syslog, Splunk, Elasticsearch, OpenTelemetry
observation what the log says of itself and of its users: numbers, and detection
metrics     the numbers in Prometheus's form; health
"""
