//! Damaged bytes that pass every checksum: the data of an extent is changed and its footer written anew.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::buffer::BooleanBuffer;
use kyma_core::error::Kind;
use kyma_core::format::{OpenOptions, ReadColumn, SegmentFormat};
use kyma_core::predicate::ColumnRef;
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_testkit::format::{CountingReader, options};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::footer::{Footer, Piece, SubPiece};
use crate::wire::checksum;

const ROWS: usize = 1_500;

fn row(n: usize) -> String {
    let items = (0..n % 4).map(|at| format!(r#"{{"k":"key-{at}","v":{},"w":[{n},{at}]}}"#, n * 7 % 91));
    let items = items.collect::<Vec<_>>().join(",");
    let tags = (0..n % 3).map(|at| format!(r#""tag {}""#, (n + at) % 50)).collect::<Vec<_>>().join(",");
    let mixed = ["1", "2.5", "true", "\"text\"", "null", "[1,2]", "{\"in\":1}", "1e9"][n % 8];
    let rare =
        if n % 40 == 7 { format!(r#","rare-{}":{{"t":"{n}","r":{n}.25,"a":[{n}]}}"#, n % 6) } else { String::new() };
    match n % 97 {
        5 => format!(r#"{{"twice":1,"twice":{n}}}"#),
        _ => format!(r#"{{"n":{n},"items":[{items}],"tags":[{tags}],"mixed":{mixed},"deep":[[{n}],[]]{rare}}}"#),
    }
}

fn rows() -> RecordBatch {
    let texts = (0..ROWS).map(|n| (n % 31 != 4).then(|| row(n)));
    let array: ArrayRef = Arc::new(texts.collect::<StringViewArray>());
    RecordBatch::try_new(Schema::new(vec![Column::new("d", Type::Dynamic)]).arrow(), vec![array]).unwrap()
}

fn columns() -> Vec<ReadColumn> {
    let mut columns = vec![ReadColumn::column("d", Type::Dynamic)];
    let paths: [&[&str]; 8] =
        [&["items"], &["tags"], &["mixed"], &["mixed", "in"], &["deep"], &["rare-1"], &["rare-1", "t"], &["twice"]];
    for path in paths {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        for ty in [Type::Dynamic, Type::String, Type::Long] {
            columns.push(ReadColumn { source: ColumnRef::path("d", path.clone()), ty });
        }
    }
    columns
}

fn for_each_piece(footer: &mut Footer, visit: &mut impl FnMut(&mut Piece)) {
    for column in footer.blocks.iter_mut().flat_map(|block| &mut block.columns) {
        visit(&mut column.piece);
        for sub in &mut column.shredded {
            sub.for_each(&mut |sub: &mut SubPiece| {
                visit(&mut sub.piece);
                if let Some(list) = &mut sub.list {
                    visit(&mut list.residue);
                }
            });
        }
    }
}

/// Puts right checksums into the footer, whatever the data is.
fn reseal(data: &[u8], footer: &mut Footer) {
    for_each_piece(footer, &mut |piece| {
        let mut at = piece.offset as usize;
        let mut take = |bytes: u32| {
            let part = data.get(at..at + bytes as usize).unwrap_or_default();
            at += bytes as usize;
            checksum(part)
        };
        piece.head_crc = take(piece.head_bytes);
        piece.frames.iter_mut().for_each(|frame| frame.crc = take(frame.bytes));
    });
}

#[test]
fn the_rows_use_every_layout() {
    let encoded = crate::Tlm.encode(&[rows()], &options(1_000)).unwrap();
    let data_bytes = encoded.bytes.len() - encoded.footer_length as usize;
    let mut footer = Footer::read(&encoded.bytes[data_bytes..], data_bytes as u64).unwrap();
    let (mut lists, mut residues, mut kinds) = (0, 0, std::collections::BTreeSet::new());
    for_each_piece(&mut footer, &mut |piece| residues += usize::from(!piece.frames.is_empty()));
    let paths = footer.paths[0].clone();
    for sub in &mut footer.blocks[0].columns[0].shredded {
        sub.for_each(&mut |sub| {
            lists += usize::from(sub.list.is_some());
            kinds.insert((paths.dotted("d", sub.path), sub.ty.name()));
        });
    }
    let of_mixed: Vec<_> = kinds.iter().filter(|(path, _)| path == "d.mixed").map(|(_, ty)| *ty).collect();
    assert_eq!(of_mixed, ["bool", "dynamic", "long", "real", "string"]);
    assert!(kinds.contains(&("d.items[].v".to_owned(), "long")), "{kinds:?}");
    assert!(lists >= 2 && residues > 0, "{lists} lists, {residues} pieces with frames");
}

#[tokio::test]
async fn damaged_data_gives_errors_or_other_rows() {
    let encoded = crate::Tlm.encode(&[rows()], &options(1_000)).unwrap();
    let data_bytes = encoded.bytes.len() - encoded.footer_length as usize;
    let (data, sealed) = encoded.bytes.split_at(data_bytes);
    let footer = Footer::read(sealed, data_bytes as u64).unwrap();
    let cases = 300 * crate::testing::factor();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (mut refused, mut answered) = (0, 0);
    for _ in 0..cases {
        let mut data = data.to_vec();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..data.len());
            match random.random_range(0..4) {
                0 => data[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
                1 => data[at] = random.random(),
                _ => data[at] ^= 1 << random.random_range(0..8),
            }
        }
        let mut footer = footer.clone();
        if random.random_bool(0.2) {
            for_each_piece(&mut footer, &mut |piece| {
                if random.random_bool(0.05) {
                    piece.offset = random.random_range(0..data_bytes as u64 - piece.bytes() + 1);
                }
            });
        }
        reseal(&data, &mut footer);
        let sealed = footer.write().unwrap();
        data.extend_from_slice(&sealed);
        let open = OpenOptions {
            extent: kyma_core::ids::ExtentId(uuid::Uuid::from_u128(7)),
            length: data.len() as u64,
            footer_length: sealed.len() as u32,
            footer: None,
        };
        let source = CountingReader::new(data.into());
        let reader = crate::Tlm.open(source.clone(), &open).await.unwrap();
        for (block, rows) in [(0, 1_000_usize), (1, 500)] {
            let selection: BooleanBuffer = (0..rows).map(|_| random.random_bool(0.1)).collect();
            for column in columns() {
                for selection in [None, Some(&selection)] {
                    match reader.read(source.as_ref(), block, std::slice::from_ref(&column), selection).await {
                        Ok(_) => answered += 1,
                        Err(error) => {
                            assert_eq!(error.kind(), Kind::Corrupt, "{error:?}");
                            refused += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(refused > 0 && answered > 0);
}
