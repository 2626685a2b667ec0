"""FastAPI with SQLAlchemy as it is usually written: an async engine, sessions and dependencies."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from fastapi_pets import (
    DATABASE,
    ENGINE_OPTIONS,
    PAGE,
    AccessToken,
    NewPet,
    OwnPet,
    Page,
    Pet,
    ShownPet,
    User,
    checksum,
    judge,
    set_pragmas,
    unauthorized,
    visible_to,
)
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import joinedload

if DATABASE.startswith("sqlite:"):
    engine = create_async_engine(
        DATABASE.replace("sqlite", "sqlite+aiosqlite", 1), **ENGINE_OPTIONS
    )
    event.listen(engine.sync_engine, "connect", set_pragmas)
else:
    url = DATABASE.replace("postgres", "postgresql+asyncpg", 1)
    engine = create_async_engine(url, pool_size=16, **ENGINE_OPTIONS)
make_session = async_sessionmaker(engine, expire_on_commit=False)
bearer = OAuth2PasswordBearer("token")
app = FastAPI()


async def get_session():
    async with make_session() as session:
        yield session


Database = Annotated[AsyncSession, Depends(get_session)]


async def get_user(
    scopes: SecurityScopes, token: Annotated[str, Depends(bearer)], session: Database
) -> User:
    found = await session.scalar(
        select(AccessToken)
        .where(AccessToken.token_checksum == checksum(token))
        .options(joinedload(AccessToken.user))
    )
    if found is None or not found.user.is_active:
        raise unauthorized()
    judge(found.expires, found.scope, scopes.scopes)
    return found.user


Reader = Annotated[User, Security(get_user, scopes=["pets:read"])]
Writer = Annotated[User, Security(get_user, scopes=["pets:write"])]


@app.get("/api/v1/pets/")
async def list_pets(
    request: Request, session: Database, user: Reader, before: int | None = None
) -> Page:
    query = (
        select(Pet)
        .where(visible_to(user.id))
        .options(joinedload(Pet.owner, innerjoin=True))
        .order_by(Pet.id.desc())
        .limit(PAGE + 1)
    )
    if before is not None:
        query = query.where(Pet.id < before)
    pets = (await session.scalars(query)).all()
    following = None
    if len(pets) > PAGE:
        pets = pets[:PAGE]
        following = str(request.url.include_query_params(before=pets[-1].id))
    return {"next": following, "previous": None, "results": pets}


@app.get("/api/v1/pets/{pet_id}/")
async def show_pet(pet_id: int, session: Database, user: Reader) -> ShownPet:
    pet = await session.scalar(
        select(Pet)
        .where(Pet.id == pet_id, visible_to(user.id))
        .options(joinedload(Pet.owner, innerjoin=True))
    )
    if pet is None:
        raise HTTPException(404)
    return pet


@app.post("/api/v1/pets/", status_code=201)
async def create_pet(new: NewPet, session: Database, user: Writer) -> OwnPet:
    pet = Pet(**new.row(user.id), owner=user)
    session.add(pet)
    await session.commit()
    return pet
