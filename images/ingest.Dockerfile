# The ingest image: `python -m skerry_operator.ingest`, and the workers of a Dask cluster that shares its work.
# Nothing here names an architecture: build it on, or for, the one it shall run on.
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
RUN python3 -m venv /opt/skerry && python3 -m venv /opt/packaging && /opt/packaging/bin/pip install hatchling
WORKDIR /src
# The dependencies are a layer of their own, so that a change of our code neither fetches nor compiles them again.
# Arrow's headers, its Flight server and the tests that its wheel brings are nothing that runs here.
COPY pyproject.toml constraints.txt images/requirements.py ./
RUN /opt/skerry/bin/python requirements.py ingest > requirements.txt \
    && /opt/skerry/bin/python requirements.py distributed >> requirements.txt \
    && /opt/skerry/bin/pip install --no-compile -c constraints.txt -r requirements.txt \
    && rm -r /opt/skerry/lib/python3*/site-packages/pyarrow/include /opt/skerry/lib/python3*/site-packages/pyarrow/tests \
    && /opt/skerry/bin/python -m compileall -q --invalidation-mode unchecked-hash \
       -x '/(pip|setuptools|pkg_resources)/' /opt/skerry/lib
COPY README.md ./
COPY operator operator
COPY edge_runtime/skerry_core edge_runtime/skerry_core
COPY edge_runtime/skerry_edge/__init__.py edge_runtime/skerry_edge/__init__.py
COPY crds crds
RUN /opt/packaging/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/skerry/bin/pip install --no-compile --no-deps dist/*.whl \
    && /opt/skerry/bin/pip uninstall --yes setuptools pip \
    && /opt/skerry/bin/python -m compileall -q --invalidation-mode unchecked-hash \
       /opt/skerry/lib/python3*/site-packages/skerry_*

FROM ${BASE}
COPY --from=build /opt/skerry /opt/skerry
ENV PATH=/opt/skerry/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
CMD ["python", "-m", "skerry_operator.ingest"]
