"""The table of codes; run as a program, it is created, as a migration would."""

import asyncio
import os

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgres", "postgresql+asyncpg", 1)
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class AccessCode(Base):
    __tablename__ = "access_accesscode"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int]
    email: Mapped[str]
    code: Mapped[str]


async def create_tables():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


if __name__ == "__main__":
    asyncio.run(create_tables())
