# Short names for the scripts and commands that the README and docs/ describe. `just` alone lists them.

default:
    @just --list

# Everything in memory, on http://127.0.0.1:8080
demo *options:
    cargo run -- demo {{options}}

# Format the Rust code
fmt:
    cargo fmt --all

# Formatting and lints, as tests/run checks them
lint:
    cargo fmt --all --check
    cargo clippy --locked --all-targets -- -D warnings

# Lints and the tests that need Rust only
quick:
    bash tests/run quick

# All tests, all layers; installs what is missing
all:
    bash tests/run

# Rust tests whose name contains FILTER, without real parts
test *filter:
    SLUICE_TEST_LAYERS=fake cargo test --locked --test it -- {{filter}}

# Rust tests whose name contains FILTER, with the real API server, istiod and Envoy
test-real *filter:
    cargo test --locked --test it -- {{filter}}

# Browser checks whose file name contains FILTER
browser *filter:
    cargo build --locked
    node tests/browser/run.mjs {{filter}}

# Generated requests against every operation of the REST API
fuzz *seed:
    cargo build --locked
    bash tests/fuzz/run {{seed}}

# A Kubernetes API server with sample objects; prints a kubeconfig
cluster *options='--samples':
    bash tests/cluster/up {{options}}

# One benchmark (see benches/README.md)
bench name *options:
    cargo bench --locked --bench {{name}} -- {{options}}

# Licences, advisories, bans and sources of all crates (needs cargo-deny and, for advisories, GitHub)
deny *checks:
    cargo deny --locked check --hide-inclusion-graph {{checks}}

# The Rust documentation of this crate
doc:
    cargo doc --locked --no-deps --document-private-items

# The container image
image tag='sluice:0.1.0':
    docker build -f deploy/Dockerfile -t {{tag}} .

# The Kubernetes objects of the kustomize base, as text
manifests folder='deploy/kustomize/base':
    kubectl kustomize {{folder}}
