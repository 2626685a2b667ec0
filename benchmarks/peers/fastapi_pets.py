"""What both FastAPI peers share: the tables as SQLAlchemy's ORM maps them, and the pydantic models.

The tables are Pawprint's own, so that rows and indexes are the same ones.
"""

import hashlib
import os
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import orjson
from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import JSON, DateTime, ForeignKey, or_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

DATABASE = os.environ["PEER_DATABASE"]  # an SQLAlchemy URL without its driver
PAGE = 25
ENGINE_OPTIONS = {
    "json_serializer": lambda value: orjson.dumps(value).decode(),
    "json_deserializer": orjson.loads,
}
PRAGMAS = """
    PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;
    PRAGMA cache_size=-32000; PRAGMA temp_store=MEMORY;
"""


def set_pragmas(connection, record):
    """For SQLAlchemy's event `connect`: what Pawprint sets, too."""
    cursor = connection.cursor()
    for pragma in PRAGMAS.split(";")[:-1]:
        cursor.execute(pragma)
    cursor.close()


class Base(DeclarativeBase):
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        list: JSON().with_variant(JSONB(), "postgresql"),
    }


class User(Base):
    __tablename__ = "accounts_user"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    is_active: Mapped[bool]


class AccessToken(Base):
    __tablename__ = "accounts_accesstoken"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_checksum: Mapped[str]
    expires: Mapped[datetime]
    scope: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("accounts_user.id"))
    user: Mapped[User] = relationship()


class Pet(Base):
    __tablename__ = "api_pet"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("accounts_user.id"))
    owner: Mapped[User] = relationship()
    name: Mapped[str]
    species: Mapped[str]
    breed: Mapped[str]
    secondary_breed: Mapped[str]
    mixed_breed: Mapped[bool]
    sex: Mapped[str]
    birth_date: Mapped[date | None]
    size: Mapped[str | None]
    color: Mapped[str]
    description: Mapped[str]
    tags: Mapped[list]
    status: Mapped[str]
    licence_number: Mapped[str]
    licence_issued_on: Mapped[date | None]
    postal_code: Mapped[str]
    microchip: Mapped[str] = mapped_column(deferred=True)
    is_public: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(deferred=True)  # Pawprint's; it may not be null


def visible_to(user_id):
    return or_(Pet.is_public, Pet.owner_id == user_id)


Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]


class NewPet(BaseModel):
    """A pet as it is sent: what Pawprint takes, and nothing else."""

    model_config = ConfigDict(extra="forbid")

    name: Text = ""
    species: Literal[
        "dog", "cat", "rabbit", "bird", "duck", "goose", "hamster", "guinea_pig", "horse", "goat",
        "pig", "reptile", "fish", "other",
    ]  # fmt: skip
    breed: Text = ""
    secondary_breed: Text = ""
    mixed_breed: bool = False
    sex: Literal["female", "male", "unknown"] = "unknown"
    birth_date: date | None = None
    size: Literal["small", "medium", "large", "xlarge"] | None = None
    color: Text = ""
    description: Annotated[str, StringConstraints(max_length=5000)] = ""
    tags: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=20)] = []
    status: Literal["home", "lost", "found", "adoptable", "pending", "adopted", "deceased"] = "home"
    licence_number: Annotated[str, StringConstraints(max_length=50)] = ""
    licence_issued_on: date | None = None
    postal_code: Annotated[str, StringConstraints(max_length=16)] = ""
    microchip: Annotated[str, StringConstraints(pattern=r"^([0-9]{15})?$")] = ""
    is_public: bool = True

    def row(self, owner_id):
        """Return the columns of a row for it."""
        now = datetime.now(UTC)
        stamps = {"created_at": now, "updated_at": now, "version": 0}
        return {**self.model_dump(), **stamps, "owner_id": owner_id}


class Owner(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    username: str


class ShownPet(BaseModel):
    """A pet as others see it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    owner: Owner
    name: str
    species: str
    breed: str
    secondary_breed: str
    mixed_breed: bool
    sex: str
    birth_date: date | None
    size: str | None
    color: str
    description: str
    tags: list[str]
    status: str
    licence_number: str
    licence_issued_on: date | None
    postal_code: str
    is_public: bool
    created_at: datetime
    updated_at: datetime


class OwnPet(ShownPet):
    """A pet as its owner sees it."""

    microchip: str


class Page(BaseModel):
    next: str | None
    previous: str | None
    results: list[ShownPet]


def checksum(token):
    return hashlib.sha256(token.encode()).hexdigest()


def judge(expires, scope, wanted):
    """Raise HTTPException 401 for a token that ended, and 403 for one without the scopes."""
    if expires.replace(tzinfo=UTC) <= datetime.now(UTC):  # SQLite keeps no zone
        raise unauthorized()
    if not set(wanted) <= set(scope.split()):
        raise HTTPException(403, f"The token lacks one of {', '.join(wanted)}.")


def unauthorized():
    return HTTPException(401, "Not a valid token.", {"WWW-Authenticate": "Bearer"})
