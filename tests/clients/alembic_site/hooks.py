from sqlalchemy.dialects.postgresql import DOMAIN


def is_sealed(type_):
    return isinstance(type_, DOMAIN) and str(type_.name).startswith("sealed_")


def compare_type(context, inspected_column, metadata_column, inspected_type, metadata_type):
    return False if is_sealed(inspected_type) else None


def include_object(item, name, kind, reflected, compare_to):
    if kind == "index" and reflected:  # UNIQUE on a sealed column is an index on its terms
        return not any("sealgate.eq" in str(expression) for expression in item.expressions)
    if kind == "unique_constraint":
        return not any(column.info.get("sealed") for column in item.columns)
    return True
