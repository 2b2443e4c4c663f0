"""Whose data was that: from the cells that the access log names to rows and people, and back.

Reading order: subjects (the configuration: which columns name the person), question (what is asked of the log, and what an event
answers), gathered [io] (cells and rows, on disk rather than in memory), naming [io] (rows and people, out of the database), log [io]
(the log as it is read and written for a question), affected and who_saw [io] (the two questions).
"""
