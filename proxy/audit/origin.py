"""Who speaks and from where, as OCSF objects: made once per session, shared by its events."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, final

from proxy.audit.entry import canonical, quoted_json
from proxy.audit.text import clean, quoted
from proxy.audit.values import Origin


@final
class Who:
    """An `Origin` in OCSF's objects (shared between events: not to be changed), in words, and as JSON."""

    __slots__ = (
        "actor",
        "actor_json",
        "database",
        "database_json",
        "endpoint",
        "endpoint_json",
        "filled",
        "name",
        "place",
        "spoken",
        "user",
    )

    def __init__(
        self,
        name: str,
        place: str,
        user: dict[str, Any],
        actor: dict[str, Any],
        endpoint: dict[str, Any],
        database: dict[str, Any],
    ) -> None:
        self.name = name
        self.place = place
        self.user = user
        self.actor = actor
        self.endpoint = endpoint
        self.database = database
        self.spoken = quoted_json(name)[1:-1]
        """`name` within a JSON string."""
        self.actor_json = canonical(actor)
        self.endpoint_json = canonical(endpoint)
        self.database_json = canonical(database)
        self.filled: object = None
        """Of `proxy.audit.template`: the last event's, with all of this in it."""


def who(origin: Origin) -> Who:
    """Kept with the origin: its session asks at every statement."""
    known = origin.told
    if known is None:
        known = _who(origin)
        object.__setattr__(origin, "told", known)
    return known


def _who(origin: Origin) -> Who:
    """An address that is none (a socket path, a name) goes where OCSF takes any text."""
    login = clean(origin.login)
    session = {"uid": clean(origin.session)}
    user: dict[str, Any] = {"name": login}
    groups = [{"name": clean(role)} for role in origin.roles if role != origin.login]
    if groups:
        user["groups"] = groups
    actor: dict[str, Any] = {"session": session}
    if login:
        actor["user"] = user
    if origin.application_name:
        actor["app_name"] = clean(origin.application_name)
    endpoint = _endpoint(origin.client_host, origin.client_port)
    database = {"name": clean(origin.database), "type_id": 1}
    name = quoted(login) if login else "an unknown login"
    place = endpoint.get("ip") or endpoint["name"]
    return Who(name, place, user, actor, endpoint, database)


def _endpoint(host: str, port: int) -> dict[str, Any]:
    endpoint: dict[str, Any] = {}
    try:
        endpoint["ip"] = clean(str(ip_address(host)))
    except ValueError:
        endpoint["name"] = clean(host) or "unknown"
    if 0 < port < 65536:
        endpoint["port"] = port
    return endpoint
