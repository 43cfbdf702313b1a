use arrow::array::StringViewArray;
use kyma_testkit::format::{random_array, same};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::THOROUGH;
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

/// Columns that ask for each encoding of more than one kind of value, each twice: for the quick and the thorough writer.
fn typical_columns() -> Vec<(Type, ArrayRef)> {
    let noise = |row: u32| row.wrapping_mul(2_654_435_769);
    let text = |text: fn(u32, u32) -> String| -> ArrayRef {
        Arc::new((0..3_000).map(|row| (row % 17 != 5).then(|| text(row, noise(row)))).collect::<StringViewArray>())
    };
    let columns: [(Type, ArrayRef); 8] = [
        (Type::String, text(|_, noise| format!("{noise:08X}"))),
        (Type::String, text(|_, noise| format!("Z{}", noise >> 8))),
        (
            Type::String,
            text(|row, noise| format!("2026-11-26 17:{:02}:{:02}.{:03}", row / 60 % 60, row % 60, noise >> 23)),
        ),
        (Type::String, text(|_, noise| format!("/api/v1/{}/orders/{}", noise >> 26, noise >> 23 & 7))),
        (
            Type::Real,
            Arc::new((0..3_000).map(|row| Some(f64::from(noise(row) >> 24).sqrt())).collect::<Float64Array>()),
        ),
        (
            Type::Real,
            Arc::new((0..3_000).map(|row| Some(f64::from(row) + f64::from(noise(row)))).collect::<Float64Array>()),
        ),
        (Type::Real, Arc::new((0..3_000).map(|row| Some(f64::from((row as f32).sqrt()))).collect::<Float64Array>())),
        (
            Type::Long,
            Arc::new((0..9_000).map(|row| Some(i64::from(noise(row).leading_zeros()))).collect::<Int64Array>()),
        ),
    ];
    columns.iter().flat_map(|column| [column.clone(), column.clone()]).collect()
}

#[test]
fn typical_columns_get_their_encoding() {
    let mut found = Vec::new();
    for (round, (ty, array)) in typical_columns().iter().enumerate() {
        found.push(name(encode(*ty, array, [3, THOROUGH][round % 2]).unwrap().encoding));
    }
    for expected in
        ["frames", "spelled", "dictionary", "front-dictionary", "dictionary-real", "decimal-real", "integers"]
    {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
}

/// What gets past the checksums gives an error or some valid array, never a panic or an invalid array.
#[test]
fn damaged_columns_are_errors_or_valid_arrays() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut columns: Vec<(Type, ArrayRef)> = Vec::new();
    for round in 0..60 {
        let ty = Type::ALL[round % Type::ALL.len()];
        columns.push((ty, random_array(ty, [1, 40, 1_500][round % 3], &mut random)));
    }
    columns.extend(typical_columns());
    for (round, (ty, array)) in columns.into_iter().enumerate() {
        let rows = array.len();
        let packed = encode(ty, &array, [3, THOROUGH][round % 2]).unwrap();
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
                broken.encoding = random.random_range(0..20);
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

#[test]
fn texts_in_frames_are_found_as_they_are_stored() {
    let wide = |row: u32| u128::from(row).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let spellings: [fn(u128) -> String; 4] = [
        |id| format!("{id:032x}"),
        |id| format!("{id:032X}"),
        |id| {
            let hex = format!("{id:032x}");
            format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        },
        |id| format!("{}~{}", id % 1_000_003, id >> 64),
    ];
    for spell in spellings {
        let value = |row: u32| (row % 11 != 3).then(|| if row % 17 == 5 { String::new() } else { spell(wide(row)) });
        let array: StringViewArray = (0..5_000).map(value).collect();
        let packed = encode(Type::String, &array, 5).unwrap();
        assert_eq!(packed.encoding, encoding::FRAMES, "{:?}", value(1));
        let known = |row: u32| value(row).unwrap();
        let (first, last) = (known(0), known(4_998));
        for needles in [vec![first.as_str()], vec![&last, &first], vec![&first[1..]], vec!["no such text"], vec!["é"]]
        {
            let bytes: Vec<&[u8]> = needles.iter().map(|needle| needle.as_bytes()).collect();
            let found = find_equal(&fetched(&packed, None), 5_000, &bytes).unwrap();
            let expected: BooleanBuffer =
                array.iter().map(|text| text.is_some_and(|text| needles.contains(&text))).collect();
            assert_eq!(found, expected, "{needles:?}");
        }
        // Of frames that are not at hand, nothing is found.
        let mut absent = fetched(&packed, None);
        absent.frames.iter_mut().skip(1).for_each(|frame| frame.1 = None);
        let found = find_equal(&absent, 5_000, &[first.as_bytes(), last.as_bytes()]).unwrap();
        let at_hand = absent.frames[0].0 as usize;
        let expected: Vec<usize> = [0, 4_998].into_iter().filter(|row| *row < at_hand).collect();
        assert_eq!(found.set_indices().collect::<Vec<_>>(), expected);
    }
}
