"""PostgreSQL's frontend/backend protocol 3.x, and nothing of ours.

Reading order: `framing` (a byte stream into messages), `messages` (the messages a proxy has to
read or write, named as the manual names them). Source for all of it:
PostgreSQL manual, chapter "Frontend/Backend Protocol", sections "Message Formats" and "Message Flow".
"""
