"""Where events are sent. [io]

receiver    what every sink's receiver does, and how it fails
stream      stdout; syslog over TCP and TLS
post        HTTP: connection, token, what an answer means
splunk, elastic, otlp     the three that speak HTTP
made        a sink of the configuration as a receiver
"""
