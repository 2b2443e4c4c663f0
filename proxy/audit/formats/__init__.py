"""The forms in which an event of the access log goes to a receiver: pure, from a line of the log to bytes.

fields      what is read out of an event, whatever it is
syslog      RFC 5424 messages, with octet counting (RFC 6587)
cef         ArcSight Common Event Format
ecs         Elastic Common Schema, and the lines of Elasticsearch's _bulk
otlp        OpenTelemetry log records
splunk      events of Splunk's HTTP Event Collector
"""
