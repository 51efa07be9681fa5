# syntax=docker/dockerfile:1
# One of the two services, without the other: docker build --build-arg SERVICE=payment .

FROM python:3.13-slim AS build
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/venv
WORKDIR /build
COPY pyproject.toml uv.lock ./
COPY admit_one/pyproject.toml admit_one/README.md admit_one/
COPY shared_contracts/pyproject.toml shared_contracts/README.md shared_contracts/
COPY payment_service/pyproject.toml payment_service/
COPY student_service/pyproject.toml student_service/
ARG SERVICE
RUN test -d "${SERVICE:?expected payment or student}_service"
# Libraries first, in a layer of their own, because they rarely change. With the extras (stripe,
# anymail): without their settings, no process imports them.
RUN uv sync --frozen --no-dev --package ${SERVICE}-service --all-extras --no-install-workspace
COPY admit_one admit_one
COPY shared_contracts shared_contracts
COPY ${SERVICE}_service ${SERVICE}_service
RUN uv sync --frozen --no-dev --package ${SERVICE}-service --all-extras --no-editable

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home service
ARG SERVICE
COPY --from=build /venv /venv
COPY ${SERVICE}_service/manage.py /service/
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1
WORKDIR /service
USER service
EXPOSE 8000
CMD ["python", "manage.py", "serve_web", "--host", "0.0.0.0"]
