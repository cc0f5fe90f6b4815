# One image with all programs, connectors, runbooks, sources and migrations; docs/image.md says what is in it and why.
#   docker build -t offboard .        or: buildah bud -t offboard .        or, without either daemon or registry: make image
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
ENV DEBIAN_FRONTEND=noninteractive
COPY scripts/deps /source/scripts/deps
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends $(/source/scripts/deps --list-build) ca-certificates python3 >/dev/null
COPY . /source
WORKDIR /source
RUN make -s -j"$(nproc)" all && make -s install DESTDIR=/image PREFIX=/usr
ARG VERSION=
ARG SOURCE_DATE_EPOCH=0
RUN scripts/image-root /image && scripts/sbom /image "${VERSION}" > /image/usr/share/offboard/sbom.spdx.json

# No shell, no package manager: what is not there can't be used against anybody.
FROM scratch
COPY --from=build /image/ /
USER 65532:65532
WORKDIR /
ENV PATH=/usr/bin LANG=C.UTF-8
ARG VERSION=
LABEL org.opencontainers.image.title="Offboard" \
      org.opencontainers.image.description="Takes a leaver's access away, everywhere, at once, and can prove it" \
      org.opencontainers.image.version="${VERSION}"
CMD ["/usr/bin/offboard", "help"]
