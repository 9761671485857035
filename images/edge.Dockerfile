# The edge image: both containers of the runtime pod (`python -m skerry_edge.inference`, `python -m skerry_edge.sync`).
# Nothing here names an architecture: build it on, or for, the one it shall run on.
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
RUN python3 -m venv /opt/skerry && python3 -m venv /opt/packaging && /opt/packaging/bin/pip install hatchling
WORKDIR /src
# The dependencies are a layer of their own, so that a change of our code neither fetches nor compiles them again.
COPY pyproject.toml constraints.txt images/requirements.py ./
RUN /opt/skerry/bin/python requirements.py edge > requirements.txt \
    && /opt/skerry/bin/pip install --no-compile -c constraints.txt -r requirements.txt \
    && /opt/skerry/bin/python -m compileall -q --invalidation-mode unchecked-hash \
       -x '/(pip|setuptools|pkg_resources)/' /opt/skerry/lib
COPY README.md ./
COPY operator/skerry_operator/__init__.py operator/skerry_operator/__init__.py
COPY edge_runtime edge_runtime
COPY crds crds
RUN /opt/packaging/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/skerry/bin/pip install --no-compile --no-deps dist/*.whl \
    && /opt/skerry/bin/pip uninstall --yes setuptools pip \
    && /opt/skerry/bin/python -m compileall -q --invalidation-mode unchecked-hash \
       /opt/skerry/lib/python3*/site-packages/skerry_*

FROM ${BASE}
COPY --from=build /opt/skerry /opt/skerry
# ONNX Runtime reports its use over the network unless told not to; a site is nobody else's business.
ENV PATH=/opt/skerry/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1
USER 65532:65532
CMD ["python", "-m", "skerry_edge.inference"]
