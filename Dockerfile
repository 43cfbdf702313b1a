# syntax=docker/dockerfile:1
# Build: dependencies in a layer of their own that only a change of a manifest or of the lock file makes anew.
FROM rust:1.95-bookworm AS manifests
WORKDIR /src
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY crates crates
COPY benches benches
# Keep the manifests, replace every source by an empty one.
RUN find crates benches -type f ! -name Cargo.toml -delete \
 && for crate in crates/* benches/distribution; do mkdir -p "$crate/src" && touch "$crate/src/lib.rs"; done \
 && rm -f crates/kyma/src/lib.rs && echo 'fn main() {}' > crates/kyma/src/main.rs

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Kernels for arm64 have pages of 4, 16 or 64 KiB: the allocator must know the largest that it may meet.
RUN [ "$(uname -m)" != aarch64 ] || printf '[env]\nJEMALLOC_SYS_WITH_LG_PAGE = "16"\n' >> /usr/local/cargo/config.toml
COPY --from=manifests /src .
RUN cargo build --release --locked -p kyma
COPY migrations migrations
COPY proto proto
COPY crates crates
# Sources are older than the empty ones just built: touch them so that cargo looks again.
RUN find crates -name '*.rs' -exec touch {} + && cargo build --release --locked -p kyma

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin kyma \
 && install -d -o kyma -g kyma /var/cache/kyma
COPY --from=build /src/target/release/kyma /usr/local/bin/kyma
USER kyma
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["kyma", "query", "--url", "http://127.0.0.1:8080", "--format", "ndjson", "print healthy=true"]
ENTRYPOINT ["kyma"]
CMD ["serve"]
