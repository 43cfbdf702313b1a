//! Hostile files: whatever is behind a checksum that fits, nothing panics out and nothing but `Corrupt` is said.

use kyma_core::format::{EncodeOptions, Encoded};
use kyma_testkit::format::{CountingReader, open_options, options, random_rows};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::directory;
use crate::writer::encode;

/// Mutations of each test. `KYMA_TEST_ROUNDS` multiplies them.
fn rounds(count: usize) -> usize {
    let times = std::env::var("KYMA_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    count * times
}

fn small(level: u8) -> Encoded {
    let options = EncodeOptions { level, ..options(60) };
    encode(&[random_rows(150, 7)], &options).unwrap()
}

/// Changes a few bytes as damage and malice would: bits, whole bytes, extremes, a copied stretch.
fn mutate(bytes: &mut [u8], random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..4) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 => bytes[at..].iter_mut().take(5).for_each(|byte| *byte = 0xFF),
            _ => {
                let length = random.random_range(1..16).min(bytes.len() - at);
                let from = random.random_range(0..=bytes.len() - length);
                bytes.copy_within(from..from + length, at);
            }
        }
    }
}

async fn read_everything(encoded: &Encoded, bytes: Vec<u8>) -> Result<usize> {
    let source = CountingReader::new(bytes.into());
    let reader = open(source.as_ref(), &open_options(encoded)).await?;
    let columns: Vec<_> =
        reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    let mut rows = 0;
    for block in 0..reader.block_rows().len() as u32 {
        // A range beyond the file is the store's to refuse; this one would panic.
        let end = encoded.bytes.len() as u64;
        let plans: Vec<_> =
            columns.iter().filter_map(|column| reader.plan(block, column, None).ok().flatten()).collect();
        assert!(ranges(plans.iter().flat_map(Plan::pieces)).iter().all(|range| range.end <= end));
        rows += reader.read(source.as_ref(), block, &columns, None).await?.num_rows();
    }
    reader.describe();
    Ok(rows)
}

#[tokio::test]
async fn a_hostile_footer_is_refused_or_harmless() {
    let encoded = small(0);
    let start = encoded.bytes.len() - encoded.footer_length as usize;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    let rounds = rounds(3_000);
    for round in 0..rounds {
        let mut bytes = encoded.bytes.to_vec();
        mutate(&mut bytes[start..], &mut random);
        if !directory::seal(&mut bytes[start..]) {
            continue;
        }
        if let Err(error) = read_everything(&encoded, bytes).await {
            assert_eq!(error.kind(), Kind::Corrupt, "round {round}: {error:?}");
            refused += 1;
        }
    }
    assert!(refused > rounds / 3, "most are refused: {refused}");
}

/// Pages behind checksums that were made to fit.
#[test]
fn a_hostile_page_is_refused_or_harmless() {
    for level in [0, 1] {
        let encoded = small(level);
        let start = encoded.bytes.len() - encoded.footer_length as usize;
        let footer = Footer::read(&encoded.bytes.slice(start..), start as u64).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for round in 0..rounds(2_000) {
            let mut bytes = encoded.bytes.to_vec();
            mutate(&mut bytes[..start], &mut random);
            let fetched = Arc::new(Fetched::at_hand(0, bytes.into()));
            for (leaf, column) in footer.identity.columns.columns().iter().enumerate() {
                let decoded = decode_chunk(&footer, &fetched, leaf, column.ty);
                if let Err(error) = decoded {
                    assert_eq!(error.kind(), Kind::Corrupt, "round {round}: {error:?}");
                }
            }
        }
    }
}

fn decode_chunk(footer: &Footer, fetched: &Arc<Fetched>, leaf: usize, ty: Type) -> Result<ArrayRef> {
    let chunk = &footer.groups[0].chunks[leaf];
    let bytes = |piece: &Piece| fetched.slice(&(piece.start..piece.end)).unwrap();
    if let Some(piece) = &chunk.dictionary {
        decode::check_dictionary(&bytes(piece), piece)?;
    }
    for page in &chunk.pages {
        decode::check_page(&bytes(&page.piece), &page.piece, page.rows)?;
    }
    decode::column(footer, fetched, (0, leaf), std::slice::from_ref(&(0..footer.groups[0].rows)), ty)
}

#[tokio::test]
async fn a_footer_that_is_cut_or_not_ours_is_corrupt() {
    let encoded = small(0);
    let footer_length = encoded.footer_length as usize;
    for cut in [1, 8, 100, footer_length - 1, footer_length] {
        let footer = encoded.bytes.slice(encoded.bytes.len() - footer_length + cut..);
        let options =
            OpenOptions { footer_length: footer.len() as u32, footer: Some(footer), ..open_options(&encoded) };
        let source = CountingReader::new(encoded.bytes.clone());
        assert_eq!(open(source.as_ref(), &options).await.unwrap_err().kind(), Kind::Corrupt, "cut {cut}");
    }
    let mut bytes = encoded.bytes.to_vec();
    let at = memchr::memmem::rfind(&bytes, crate::constants::KEY_FOOTER_CHECKSUM.as_bytes()).unwrap();
    bytes[at] = b'K';
    let error = read_everything(&encoded, bytes).await.unwrap_err();
    assert!(error.chain().contains("the checksum is missing"), "{}", error.chain());
}
