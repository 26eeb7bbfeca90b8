//! gzip for answers of several parts: the common part is compressed once and kept; what differs from person to
//! person is compressed for each and never shares a window with the rest.
//!
//! Called by `answers` and `respond`. All other answers are compressed by the layer that the router has for it.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};
use http::{HeaderMap, header};

/// A part of an answer as a run of deflate blocks that ends at a whole byte, and its sum.
#[derive(Debug)]
pub struct Squeezed {
    blocks: Bytes,
    sum: Crc,
}

/// How hard answers are squeezed. Of a page of 20 kB level 1 makes 6.9 kB in 0.32 ms, level 4 makes 5.5 kB in 0.56 ms
/// and level 6 makes 5.4 kB in 0.89 ms.
pub const LEVEL: u32 = 4;

/// The beginning of a gzip file that says nothing about itself (RFC 1952).
const HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A last block without anything in it.
const LAST: [u8; 2] = [3, 0];

impl Squeezed {
    /// Squeezes a part; `None` when that fails, which only costs the bytes.
    pub fn of(plain: &[u8]) -> Option<Self> {
        let mut sum = Crc::new();
        sum.update(plain);
        let mut compress = Compress::new(Compression::new(LEVEL), false);
        let mut blocks = Vec::with_capacity(plain.len() / 6 + 64);
        loop {
            let done = usize::try_from(compress.total_in()).ok()?;
            compress.compress_vec(plain.get(done..)?, &mut blocks, FlushCompress::Sync).ok()?;
            if compress.total_in() == plain.len() as u64 && blocks.len() < blocks.capacity() {
                return Some(Self { blocks: blocks.into(), sum });
            }
            blocks.reserve(blocks.len().max(1024));
        }
    }
}

/// Parts one after the other as one gzip file; the parts are not copied.
pub fn gzip<'a>(parts: impl IntoIterator<Item = &'a Squeezed>) -> Vec<Bytes> {
    let mut out = vec![Bytes::from_static(HEAD)];
    let mut sum = Crc::new();
    for part in parts {
        out.push(part.blocks.clone());
        sum.combine(&part.sum);
    }
    let mut end = LAST.to_vec();
    end.extend(sum.sum().to_le_bytes());
    end.extend(sum.amount().to_le_bytes());
    out.push(end.into());
    out
}

/// True when the client takes gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|q| matches!(q, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn parts_are_read_as_one_text() {
        let noise: String =
            (0..40_000_u32).map(|n| char::from(b' ' + u8::try_from(n * n % 89).unwrap())).collect();
        for parts in [
            vec![],
            vec![""],
            vec!["a"],
            vec!["a", "", "bcd"],
            vec![&*noise, "x", &*noise],
            vec!["<td>"; 300],
        ] {
            let squeezed: Vec<Squeezed> =
                parts.iter().map(|part| Squeezed::of(part.as_bytes()).unwrap()).collect();
            let file: Vec<u8> = gzip(&squeezed).concat();
            let mut text = String::new();
            GzDecoder::new(&*file).read_to_string(&mut text).unwrap();
            assert_eq!(text, parts.concat());
        }
    }
}
