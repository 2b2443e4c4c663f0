"""Sealgate: a transparent encrypting proxy for PostgreSQL. This file holds no code, only the way in.

Reading order
    effects, session      what a session is: bytes and events in, effects out; no I/O
    handshake             from the first byte to the first ReadyForQuery
    authentication, scram                             what passes of a login, and SCRAM that ends here
    snapshot              policy, catalog and keys in one frozen value, and what they allow one principal
    request, response     a plan applied: client to server, server to client
    outgoing              what goes out of one buffer: its bytes as they came, and what replaces some
    errors                what of a server's error the client gets
    edited                where an error in the edited text stands in the client's own
    seal, rows            values sealed on the way in, rows unsealed on the way out
    pattern, matching     a pattern of LIKE as terms; what the server finds by them, tested row by row
    given, place          of which type the client gives a value, and what becomes of it at its place; made once per statement
    terms                 which search terms a value is sealed with: stored, or compared
    coercion              what a value of another type is where a sealed column stands
    cut                   where a value of another type falls in the order of a sealed column
    at_path               a value compared with what a path leads to in a sealed jsonb
    state, inflight, statements, shape, execution     what a session remembers between messages
    tally, outline        what rows carried, and what the access log says of a statement whatever its numbers
    naming, cursors       what the names of prepared statements and cursors stand for
    holding, inquiry      what waits until the server has said more, and how it is asked
    refusal, refused, tampering                       what becomes of what is not allowed, or not true
    assurance             whether the server vouches for the search terms
    catalog, picture      the database's tables, columns, views, functions as one picture, and the SQL that reads it
    introspect            [io] takes it
    connection, listener, upstream, tls, control      [io] the thin shell: sockets, TLS, asyncio
    turns, outlet         [io] long work and long writes: who has the event loop, and for how long
    group_commit          [io] one write to the access log for all sessions of a round
    upkeep                [io] keeps the snapshot current: DDL, changes past the proxy, SIGHUP
    config, tables        the configuration file into frozen values
    cli, commands         `sealgate COMMAND`; the composition root is commands/serve
    compiled              whether the hot modules run compiled, and from these sources
    embedded, programs    [io] a PostgreSQL of one's own
    demo                  [io] the tour through all of it

Packages
    wire        PostgreSQL's messages: framing, reading, writing; knows nothing of ours
    cells       text and binary cells to canonical plaintext and back, per type
    sql         lexer, parser, resolver, planner: SQL text to an immutable plan
    copying     COPY's data: cut into rows, sealed and unsealed
    audit       OCSF events and the access log
    report      what a person signs: incidents, access reviews, changes, made of the log
    detection   budgets, honey, containment; detectors over the access log
    auditor     [io] the process beside the proxy that follows the log: sinks, metrics, detection over the log
    disclosure  whose data was that: from cells of the log to rows and people, and back
    compiling   building: the hot modules compiled with mypyc
    database    schema `sealgate`: apply and check
    workers     [io] several processes on one port: supervisor, worker, what passes between them
    policy, keystore (beside this package)      who may do what; keys and sealed values

Glossary
    access log        one OCSF event per line: who touched which sealed columns, with what outcome
    canonical         a value in PostgreSQL's binary send format of its logical type: what is sealed
    catalog           the picture of the database's relations that the planner and the session use
    cell              one value of one row; a cell id names a stored sealed value in the access log
    containment       what is done about a login after a finding: throttle, mask, quarantine, kill; for a time
    clear, masked, withheld      what a role gets of a sealed value
    control connection           the proxy's own login, for the catalog only
    data key          seals values of one column; named by a key id inside every sealed value
    equality term     what the database compares instead of the plaintext; declared by search = ["equality"]
    keyset, keystore  all keys in memory; the file they are wrapped in, under the root key
    label             a column's name everywhere: public.customers.email
    logical type      the type that applications see; the database holds a domain over bytea
    plan              what is to be done with a statement, as data: forward, apply or refuse
    protected database           the one that the control dsn names; others pass through
    refusal           an error that the server raises in our place, so that its state stays the truth
    sealed            encrypted and authenticated (format version 1); unsealed is the way back
    snapshot          policy, catalog and keys of one moment
"""
