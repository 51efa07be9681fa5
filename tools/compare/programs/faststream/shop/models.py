"""The shop's own table; run as a program, it creates all tables, as a migration would."""

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


class Order(Base):
    __tablename__ = "shop_order"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    email: Mapped[str]


async def create_tables():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


if __name__ == "__main__":
    from shop.app import outbox_table
    from shop.models import create_tables

    assert outbox_table is not None
    asyncio.run(create_tables())
