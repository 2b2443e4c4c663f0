"""The data of COPY: rows split and written (`text`, `csv`, `binary`, nothing of sealing), and what Sealgate does to them
on the way in (`copy_in`) and out (`copy_out`).

Theory: src/backend/commands/copyfromparse.c and copyto.c. A stream is cut into rows as the server would cut it, wherever
its CopyData messages end; of each row the fields that matter are decoded, all others keep their bytes. What the server
would refuse is refused here, in its words, before it gets there: its own error would quote the row in its log.
"""
