"""Reports that a person can sign: incident, access review, changes. Pure, but for `roles`.

    times         points in time and periods, as people give them and as reports print them
    human         what a machine cannot know, in a type of its own
    read          events of the log as plain values, whoever wrote them
    tallies       counts that stay within bounds
    document      a report as blocks; `markdown` and `html` render them, `plain` makes JSON of a model
    evidence      the log's own verdict and gaps, as every report gives it
    selection     which events an incident is about
    incident      the incident report: `observed` gathers it, `exposure` speaks of keys, `law` fills in articles,
                  `incident_page` lays it out; `persons` counts
                  whose data it was
    difference    what a policy gives that another one did not, by their summaries
    review        the access review: `use` gathers it, `people` looks for duties in one hand,
                  `suggestion` writes a narrower policy, `review_page` lays it out
    logins, roles the database's logins and roles; [io] asks for them
    changes       the change report, `changes_page` lays it out

A report is a frozen dataclass. Its JSON is the report; Markdown and HTML are made of it and name the JSON's SHA-256.
"""
