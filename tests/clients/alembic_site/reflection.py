import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, DOMAIN, JSONB

LOGICAL = {
    "sealed_varchar": sa.String,
    "sealed_text": sa.Text,
    "sealed_int4": sa.Integer,
    "sealed_date": sa.Date,
    "sealed_numeric": sa.Numeric,
    "sealed_jsonb": JSONB,
    "sealed_bytea": BYTEA,
}


@sa.event.listens_for(sa.Table, "column_reflect")
def show_the_logical_type(inspector, table, column):
    if isinstance(column["type"], DOMAIN) and column["type"].name in LOGICAL:
        column["type"] = LOGICAL[column["type"].name]()
