# Terrazzo in a container: docs/container.md says how to build and run it.
#
#   docker build -t terrazzo .                                   for processors
#   docker build -t terrazzo:cuda --build-arg DEVICE=cuda .      for NVIDIA GPUs

ARG PYTHON=3.11-slim-bookworm
ARG NODE=22-bookworm-slim
ARG DEVICE=cpu

# --- the map viewer ---------------------------------------------------------------------------------------------------
FROM node:${NODE} AS viewer
WORKDIR /build/viewer
COPY viewer/package.json viewer/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY viewer/ ./
RUN npm run build

# --- the wheel, and what it needs at run time -------------------------------------------------------------------------
FROM python:${PYTHON} AS builder
ARG DEVICE
# Extras that are installed, separated by spaces.
ARG EXTRAS="serve onnx dinov3"
# A file of this folder that pins torch and torchvision for processors, with hashes: see docs/container.md. Without it
# the locked build is taken, which runs on processors too but brings the libraries of GPUs along.
ARG TORCH_LOCK=""
# Address of an index that holds what TORCH_LOCK names; it stays in this stage.
ARG PIP_EXTRA_INDEX_URL
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
COPY requirements.lock pyproject.toml ./
COPY container/ ./container/
# Packages come first: they change less often than the source, and the layer is kept.
RUN python container/runtime_lock.py --package hatchling > build.lock \
    && python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r build.lock \
    && python -m venv /opt/terrazzo \
    && mapfile -t choices < <(printf -- '--extra=%s\n' ${EXTRAS}) \
    && if [ "${DEVICE}" = cpu ] && [ -n "${TORCH_LOCK}" ]; then choices+=(--without-torch); fi \
    && python container/runtime_lock.py "${choices[@]}" > runtime.lock \
    && if [ "${DEVICE}" = cpu ] && [ -n "${TORCH_LOCK}" ]; then cat "${TORCH_LOCK}" >> runtime.lock; fi \
    && /opt/terrazzo/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        -r runtime.lock
COPY README.md LICENSE hatch_build.py ./
COPY src/ ./src/
COPY --from=viewer /build/src/terrazzo/serve/static/ ./src/terrazzo/serve/static/
RUN TERRAZZO_REQUIRE_VIEWER=1 python -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps \
        --no-build-isolation --wheel-dir dist . \
    && /opt/terrazzo/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps dist/*.whl \
    && /opt/terrazzo/bin/python -m pip check

# --- what runs --------------------------------------------------------------------------------------------------------
FROM python:${PYTHON} AS runtime-cpu

FROM runtime-cpu AS runtime-cuda
# The container runtime of NVIDIA puts the driver's own libraries in where these say so.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# The stage is one of the two above, which stand on a tagged image.
# hadolint ignore=DL3006
FROM runtime-${DEVICE} AS runtime
LABEL org.opencontainers.image.title="Terrazzo" \
      org.opencontainers.image.description="From imagery and labels to a trained model and a map that can be trusted" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin terrazzo \
    && install --directory --owner=terrazzo --group=terrazzo /work
COPY --from=builder /opt/terrazzo /opt/terrazzo
COPY container/healthcheck.py /opt/terrazzo/healthcheck.py
ENV PATH=/opt/terrazzo/bin:$PATH \
    LC_ALL=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    TERRAZZO_PORT=8000
USER 10001:10001
WORKDIR /work
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "/opt/terrazzo/healthcheck.py"]
ENTRYPOINT ["terrazzo"]
CMD ["--help"]
