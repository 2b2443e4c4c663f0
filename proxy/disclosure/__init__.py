"""Whose data was that: from the cells that the access log names to rows and people, and back.

Reading order: subjects (the configuration: which columns name the person), question (what is asked of the log), gathered (cells of the log,
on disk rather than in memory), naming [io] (their rows, out of the database), answer (people, tables, what is missing), affected and
who_saw [io] (the two questions), report (what people and programs read).
"""
