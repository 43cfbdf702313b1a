use kyma_testkit::format::{random_array, same};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn fetched<'a>(packed: &'a Packed, base: Option<(u8, &'a [u8])>) -> Fetched<'a> {
    let frames = packed.frames.iter().map(|frame| (frame.rows, Some(frame.bytes.as_slice()))).collect();
    Fetched { encoding: packed.encoding, head: &packed.head, frames, base, lines: None }
}

/// Changes some bytes, or cuts or lengthens the end: what a checksum would have caught.
fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return;
    }
    match random.random_range(0..6) {
        0 => bytes.truncate(random.random_range(0..bytes.len())),
        1 => bytes.extend([0xff; 3]),
        2 => {
            let at = random.random_range(0..bytes.len());
            bytes[at] = [0, 0x7f, 0x80, 0xff][random.random_range(0..4)];
        }
        _ => {
            // The front holds tags and lengths: most of the trouble is there.
            let at = random.random_range(0..bytes.len().min(24));
            bytes[at] ^= 1 << random.random_range(0..8);
        }
    }
}

/// What gets past the checksums gives an error or some valid array, never a panic or an invalid array.
#[test]
fn damaged_columns_are_errors_or_valid_arrays() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for round in 0..60 {
        let ty = Type::ALL[round % Type::ALL.len()];
        let rows = [1, 40, 1_500][round % 3];
        let array = random_array(ty, rows, &mut random);
        let packed = encode(ty, &array, 3).unwrap();
        let whole = decode(&fetched(&packed, None), rows, ty, ty, None).unwrap();
        assert!(same(ty, &whole, &array));
        let selection: BooleanBuffer = (0..rows).map(|_| random.random_bool(0.2)).collect();
        for _ in 0..60 {
            let mut broken = Packed { encoding: packed.encoding, head: packed.head.clone(), frames: Vec::new() };
            for frame in &packed.frames {
                broken.frames.push(PackedFrame { rows: frame.rows, bytes: frame.bytes.clone() });
            }
            match broken.frames.first_mut() {
                Some(frame) if random.random_bool(0.5) => damage(&mut frame.bytes, &mut random),
                _ => damage(&mut broken.head, &mut random),
            }
            if random.random_bool(0.1) {
                broken.encoding = random.random_range(0..11);
            }
            for selection in [None, Some(&selection)] {
                match decode(&fetched(&broken, Some((encoding::INTEGERS, &packed.head))), rows, ty, ty, selection) {
                    Ok(array) => {
                        assert_eq!(array.len(), selection.map_or(rows, BooleanBuffer::count_set_bits));
                        array.to_data().validate_full().unwrap();
                    }
                    Err(error) => assert_eq!(error.kind(), kyma_core::error::Kind::Corrupt, "{ty}: {error:?}"),
                }
            }
        }
    }
}
