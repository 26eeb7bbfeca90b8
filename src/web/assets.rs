//! The files of `static/`: style sheet, scripts, icons. Part of the binary; comments and spaces are taken out and the
//! rest is compressed once at the start.
//!
//! Pages name them with `?v=` and [`version`], so browsers may keep them without end; without it (or with an
//! older one) they ask each time and mostly hear 304.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::error::Failure;
use super::squeeze::takes_gzip;
use crate::domain::refusal::Code;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Folder;

struct Asset {
    kind: HeaderValue,
    etag: HeaderValue,
    plain: Bytes,
    /// Absent where compression gains nothing.
    gzip: Option<Bytes>,
}

static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(read);

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, asset) in ASSETS.iter() {
        hash.update(name.as_bytes());
        hash.update(asset.etag.as_bytes());
    }
    hex::encode(&hash.finalize()[..8])
});

/// Changes when any file does; goes behind `?v=`.
pub fn version() -> &'static str {
    &VERSION
}

/// `GET /static/{name}`.
pub async fn serve(Path(name): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(&name) else {
        return Failure::from(Code::NotFound).into_response();
    };
    let current = query.is_some_and(|query| query.strip_prefix("v=") == Some(version()));
    let keep = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let common = [
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
        (header::ETAG, asset.etag.clone()),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let etag = asset.etag.to_str().unwrap_or_default();
    if known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, asset.kind.clone())];
    match &asset.gzip {
        Some(gzip) if takes_gzip(&headers) => {
            let coding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            (common, kind, coding, gzip.clone()).into_response()
        }
        _ => (common, kind, asset.plain.clone()).into_response(),
    }
}

fn read() -> BTreeMap<String, Asset> {
    let names = Folder::iter().filter(|name| !name.ends_with(".md"));
    names
        .filter_map(|name| {
            let file = Folder::get(&name)?;
            let kind = match file.metadata.mimetype() {
                text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
                other => other.to_owned(),
            };
            let plain = Bytes::from(minified(&name, file.data.into_owned()));
            let gzip = compress(&plain).filter(|gzip| gzip.len() < plain.len());
            let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&plain)[..16]));
            let kind = HeaderValue::from_str(&kind).ok()?;
            let etag = HeaderValue::from_str(&etag).ok()?;
            Some((name.into_owned(), Asset { kind, etag, plain, gzip: gzip.map(Bytes::from) }))
        })
        .collect()
}

/// A style sheet or script without comments and spaces; others, and what cannot be read, as they are.
fn minified(name: &str, file: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&file) else { return file };
    let ending = name.rsplit('.').next().unwrap_or_default();
    let short = match ending {
        // Its author has done so already.
        _ if name.ends_with(".min.js") => None,
        "js" => Some(minifier::js::minify(text).to_string()),
        "css" => minifier::css::minify(text).ok().map(|css| css.to_string()),
        _ => None,
    };
    short.map_or(file, String::into_bytes)
}

fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}
