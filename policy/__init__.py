"""Who may read, compare and write which sealed column. Pure: no I/O, no clock, nothing of ours imported.

Reading order:

    model      Policy and its parts as frozen values; Decision
    search     what may be asked of a column's values
    paths      the keys of a path in a jsonb
    decide     policy x roles x column x access -> Decision
    load       the configuration's tables -> Policy, or PolicyError
    masking    what a masked value looks like
    summary    what a policy gives, as data for the access log
    label      the one spelling of schema.table.column; wildcards
    errors     PolicyError

The grants of all of a login's roles add up and the widest wins; nothing granted is nothing shown.
"""

from policy.decide import DENY_BY_DEFAULT, decide
from policy.errors import PolicyError
from policy.load import load
from policy.masking import Mask, compile_mask
from policy.model import Access, ColumnRule, Decision, Grant, Outcome, Policy, RoleGrants
from policy.search import Order, Search, read_search
from policy.summary import summary

__all__ = [
    "DENY_BY_DEFAULT",
    "Access",
    "ColumnRule",
    "Decision",
    "Grant",
    "Mask",
    "Order",
    "Outcome",
    "Policy",
    "PolicyError",
    "RoleGrants",
    "Search",
    "compile_mask",
    "decide",
    "load",
    "read_search",
    "summary",
]
