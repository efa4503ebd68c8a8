# Pin the base by digest in your build: --build-arg PYTHON_IMAGE=docker.io/library/python:3.11-slim@sha256:...
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# First what changes seldom. Every dependency is a wheel with a hash in the lock file; nothing is compiled.
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/authz-server \
    && pip --python /opt/authz-server install --require-hashes --only-binary=:all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY authz_server ./authz_server
RUN pip wheel --no-deps --wheel-dir /wheel . \
    && pip --python /opt/authz-server install --no-index --no-deps /wheel/authz_server-*.whl \
    && python -m compileall -q /opt/authz-server

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="authz-server" \
      org.opencontainers.image.description="Envoy and Istio external authorization for agent traffic" \
      org.opencontainers.image.licenses="Apache-2.0"
# No installer in the image that runs. Numeric, because `runAsNonRoot` cannot judge a name.
RUN python -m pip --disable-pip-version-check uninstall --yes --quiet --root-user-action ignore setuptools wheel pip \
    && mkdir -p /etc/authz/server /etc/authz/policies /etc/authz/secrets /etc/authz/trust
COPY --from=build /opt/authz-server /opt/authz-server
ENV PATH=/opt/authz-server/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 9001 9002
STOPSIGNAL SIGTERM
# The orchestrator probes /healthz and /readyz.
HEALTHCHECK NONE
ENTRYPOINT ["authz-server"]
CMD ["--help"]
