use std::io::Write;

use super::*;

async fn read(body: &[u8], piece: usize, bytes_max: u64) -> Result<Vec<u8>> {
    let pieces: Vec<Result<Bytes>> = body.chunks(piece.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut body = Body::new(futures::stream::iter(pieces).boxed(), bytes_max, Duration::from_secs(5));
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn text() -> Vec<u8> {
    (0..20_000).flat_map(|row| format!("{{\"row\":{row}}}\n").into_bytes()).collect()
}

#[tokio::test]
async fn plain_gzip_and_zstd_in_pieces_of_any_size() {
    let text = text();
    let zstd = zstd::encode_all(&text[..], 3).unwrap();
    for piece in [1, 3, 1_000, usize::MAX] {
        assert_eq!(read(&text, piece, 1 << 30).await.unwrap(), text);
        assert_eq!(read(&gzip(&text), piece, 1 << 30).await.unwrap(), text);
        assert_eq!(read(&zstd, piece, 1 << 30).await.unwrap(), text);
    }
    assert_eq!(read(&[], 1, 10).await.unwrap(), b"");
    assert_eq!(read(b"{}", 1, 10).await.unwrap(), b"{}");
}

#[tokio::test]
async fn several_members_and_frames() {
    let twice = |bytes: Vec<u8>| [bytes.clone(), bytes].concat();
    assert_eq!(read(&twice(gzip(b"ab")), 5, 10).await.unwrap(), b"abab");
    assert_eq!(read(&twice(zstd::encode_all(&b"ab"[..], 3).unwrap()), 5, 10).await.unwrap(), b"abab");
}

#[tokio::test]
async fn a_bomb_is_refused_early() {
    let zeros = vec![0; 300 << 20];
    for bomb in [gzip(&zeros), zstd::encode_all(&zeros[..], 3).unwrap()] {
        let error = read(&bomb, 64 * 1024, 1 << 20).await.unwrap_err();
        assert_eq!(error.code(), "ingest.body_too_large");
    }
}

#[tokio::test]
async fn damaged_and_cut_bodies_fail() {
    let text = text();
    for whole in [gzip(&text), zstd::encode_all(&text[..], 3).unwrap()] {
        for cut in [5, whole.len() / 2, whole.len() - 1] {
            let error = read(&whole[..cut], 999, 1 << 30).await.unwrap_err();
            assert_eq!(error.code(), "ingest.body_broken", "cut={cut}");
        }
    }
    let mut damaged = gzip(&text);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    assert_eq!(read(&damaged, 999, 1 << 30).await.unwrap_err().code(), "ingest.body_broken");
}

#[tokio::test]
async fn a_body_that_stops_coming_fails() {
    let stalled = futures::stream::iter([Ok(Bytes::from_static(b"{}\n{}"))]).chain(futures::stream::pending()).boxed();
    let mut body = Body::new(stalled, 100, Duration::from_millis(20));
    assert!(body.next().await.unwrap().is_some());
    assert_eq!(body.next().await.unwrap_err().code(), "ingest.body_broken");
}
