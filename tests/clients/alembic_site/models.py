"""The models as the last migration leaves them."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "member"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    email: Mapped[str | None] = mapped_column(sa.String(120), unique=True, info={"sealed": True})
    ssn: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    born: Mapped[datetime.date | None] = mapped_column(info={"sealed": True})
    level: Mapped[int] = mapped_column(server_default="0")
