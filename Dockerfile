# Two images from one wheel: `web` (no torch) and `worker` (torch, the model side).
# Both run as user 10001 with a read-only root file system; what is written goes to /data.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY requirements requirements
COPY webapp webapp
COPY inference inference
COPY storage storage
# Every file that an index hands out is one of those that were resolved: its hash is in requirements/.
RUN python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && /build/bin/uv build --python /build/bin/python --wheel --no-build-isolation --out-dir /wheels
RUN python -m venv /opt/web \
    && /build/bin/uv pip install --python /opt/web/bin/python --no-cache \
       --require-hashes -r requirements/web.txt \
    && /build/bin/uv pip install --python /opt/web/bin/python --no-cache --no-deps /wheels/overread-*.whl
RUN python -m venv /opt/worker \
    && /build/bin/uv pip install --python /opt/worker/bin/python --no-cache \
       --require-hashes -r requirements/worker.txt \
    && /build/bin/uv pip install --python /opt/worker/bin/python --no-cache --no-deps /wheels/overread-*.whl

FROM ${PYTHON} AS base
RUN useradd --uid 10001 --user-group --home-dir /data --no-create-home overread \
    && install -d -o overread -g overread -m 0700 /data /backups
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 GRADIO_ANALYTICS_ENABLED=False \
    OVERREAD_DATA_DIR=/data
WORKDIR /data
VOLUME /data
USER overread

FROM base AS web
USER root
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/*
USER overread
COPY --from=build /opt/web /opt/web
ENV PATH=/opt/web/bin:$PATH
EXPOSE 7860
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/api/v1/health/live', timeout=2)"]
CMD ["sh", "-c", "overread init && exec overread serve --host 0.0.0.0"]

FROM base AS worker
COPY --from=build /opt/worker /opt/worker
ENV PATH=/opt/worker/bin:$PATH
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=300s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
CMD ["overread-worker", "serve", "--host", "0.0.0.0", "--port", "8000", "--model", "overread-demo"]
