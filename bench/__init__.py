"""What Sealgate costs, measured beside what it replaces. `python -m bench --help`; `bench/README.md` has results.

Reading order
    settings    how much data, how long, how often
    servers     PostgreSQL, pgbouncer and Sealgate as processes of this run
    data        the tables, the same rows in plaintext and sealed
    sides       who is compared: a name, an address, a schema
    measure     rounds, rotating order, medians, ratios
    pgbench     load by pgbench, and reading what it says
    wire        a client that costs nothing: raw frames over a socket
    workloads   what is measured
    instructions     what one statement costs, counted by callgrind; apart from all others
    targets     what the project wants to reach
    report, plots    tables and pictures from a result file
"""
