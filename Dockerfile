# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
# All is compiled in but for Kerberos' library, which the image below has.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake libsasl2-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile shipped --features image --locked --bin payback && cp target/shipped/payback /usr/local/bin/payback

FROM debian:bookworm-slim
# Certificates for brokers behind TLS; Kerberos' library, and kinit, which librdkafka calls for tickets; curl for the health check.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates curl krb5-user libsasl2-2 libsasl2-modules-gssapi-mit \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/payback /usr/local/bin/payback
COPY config/payback.toml /etc/payback/payback.toml
# No name, no home, no rights.
USER 10001:10001
# The API listens inside the container alone, which is enough for the health check. To be reached from outside it needs
# PAYBACK_HTTP__LISTEN=0.0.0.0:8080, and PAYBACK_HTTP__TOKEN_FILE (or _TOKEN) or PAYBACK_HTTP__ALLOW_ANONYMOUS=true.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["payback"]
CMD ["run", "--config", "/etc/payback/payback.toml"]
