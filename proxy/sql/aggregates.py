"""Names of aggregates: what stands in their brackets is about the rows of a group, not about the group.

A function of another schema may have such a name and be none, and an aggregate of the user's may have any other: the
server then refuses what was taken for the wrong one (42803), because columns stand in it as they would not for the other.
"""

from __future__ import annotations

from typing import Final

_ALL: Final = """
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every
    json_agg json_agg_strict json_arrayagg json_object_agg json_object_agg_strict json_object_agg_unique
    json_object_agg_unique_strict json_objectagg jsonb_agg jsonb_agg_strict jsonb_object_agg jsonb_object_agg_strict
    jsonb_object_agg_unique jsonb_object_agg_unique_strict max min range_agg range_intersect_agg regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg
    sum var_pop var_samp variance xmlagg
"""
NAMES: Final = frozenset(_ALL.split())
