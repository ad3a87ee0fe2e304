# keystead/keystead: the node, the operator and the command line in one image.
#
# `make image` fetches the wheels into build/wheels first: this build needs no network, no compiler and no package index,
# and no setting of the machine's gets into the image. BASE is any image with Python 3.11 and pip.
ARG BASE=python:3.11-slim

FROM ${BASE} AS dependencies
COPY build/wheels/dependencies /wheels
COPY image/trim.sh /trim.sh
RUN python3 -m venv --without-pip /opt/keystead \
    && python3 -m pip --python /opt/keystead/bin/python install --quiet --no-cache-dir --no-compile \
        --no-index --no-deps /wheels/*.whl \
    && sh /trim.sh /opt/keystead \
    && /opt/keystead/bin/python -m compileall -q -j 0 /opt/keystead/lib

# Apart: it is all that changes from one build to the next.
FROM dependencies AS install
COPY build/wheels/own /wheels
RUN python3 -m pip --python /opt/keystead/bin/python install --quiet --no-cache-dir --no-index --no-deps /wheels/*.whl \
    && /opt/keystead/bin/python -m compileall -q -j 0 /opt/keystead/lib

FROM ${BASE}
ARG VERSION=dev
LABEL org.opencontainers.image.title="keystead" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      keystead="image"
COPY --from=install /opt/keystead /opt/keystead
# PYTHONDONTWRITEBYTECODE: the root file system is read-only, and everything is compiled already. USER: kopf asks who it is,
# also where a platform runs it as a user that no file knows.
ENV PATH=/opt/keystead/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp USER=keystead
USER 65532:65532
WORKDIR /tmp
CMD ["keystead-operator"]
