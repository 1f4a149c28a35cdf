# DevConnect in one image: the host and the application's components. Needs BuildKit, for its cache mounts.
#
#   docker build -t devconnect .
#   docker run -p 127.0.0.1:3000:3000 -v devconnect:/data -e DEVCONNECT_ENV=development devconnect

FROM node:20.20.2-bookworm-slim AS node

FROM rust:1.95.0-slim-bookworm AS build

# The toolchain of this image. rust-toolchain.toml asks for `stable`, and rustup would fetch that on top.
ENV RUSTUP_TOOLCHAIN=1.95.0
ENV CARGO_INCREMENTAL=0

# librdkafka is built by make and wants a C++ compiler; a C compiler, for SQLite and zstd, is in the image.
# Debian keeps one version of a package at a time: one that is pinned here is gone with the next fix.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make \
 && rm -rf /var/lib/apt/lists/* \
 && rustup target add wasm32-unknown-unknown

# The page is built with Node and npm, which Debian has too old.
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm

WORKDIR /src
COPY . .

# The whole workspace decides on features, as in `cargo xtask test`: what is tested is what is in the image.
# Dependencies stay built between two builds. Our own crates are touched, so that they are always built: cargo goes by a
# file's time, which may be older than what an earlier build left.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    --mount=type=cache,target=/root/.npm \
    find host components xtask tests wit -type f -exec touch {} + \
 && cargo build --locked --release --workspace --bin devconnect \
 && cargo xtask build-components \
 && mkdir /out \
 && cp -r target/release/devconnect target/components /out/


FROM debian:12.15-slim

LABEL org.opencontainers.image.title="DevConnect" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# Certificates, for stores that are reached over TLS. The user's number is fixed, because files of the volume have it.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 devconnect \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin devconnect \
 && install -d -o devconnect -g devconnect -m 0700 /data

COPY --from=build /out/devconnect /usr/local/bin/devconnect
COPY --from=build /out/components /usr/share/devconnect/components

# Secrets and PUBLIC_URL must be given, unless whoever runs the image says that it is for development.
ENV DEVCONNECT_ENV=production

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 3000 3001

# Bash speaks enough HTTP for one question, so that no client has to be in the image. Starting on a large database of an
# earlier version takes longer than the start period: whoever upgrades one gives it more (`--health-start-period`).
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["bash", "-c", "exec 3<>\"/dev/tcp/127.0.0.1/${PORT:-3000}\" && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r status <&3 && [[ $status == 'HTTP/1.1 200 '* ]]"]

# Without a shell in between, so that SIGTERM reaches the host: it finishes what it has begun, for 30 seconds at most.
ENTRYPOINT ["devconnect"]
CMD ["serve", "--components", "/usr/share/devconnect/components", "--data", "/data", "--address", "0.0.0.0", "--admin-address", "0.0.0.0"]
