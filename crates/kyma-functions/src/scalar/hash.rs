//! Digests and identifiers. Digests are of a value's text; `hash` is of its bytes.

use arrow::array::ArrayRef;
use kyma_core::{Result, Type};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use xxhash_rust::xxh64::xxh64;

use super::{Kernel, impure, kernel};
use crate::convert::{AnyText, EPOCH_TICKS};
use crate::view::{Bools, Longs, Reals};
use crate::{Arg, Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("hash", |call| {
        let values = Hashed::of(call, 0)?;
        let moduli = call.longs_or(1, None)?;
        build::longs(Type::Long, call.rows, |row| {
            let hash = values.get(row);
            Some(match moduli.get(row) {
                Some(modulus) if modulus > 0 => hash.rem_euclid(modulus),
                _ => hash,
            })
        })
    }),
    kernel("hash_many", |call| {
        let values: Vec<Hashed<'_>> =
            (0..call.args.len()).map(|index| Hashed::of(call, index)).collect::<Result<_>>()?;
        build::longs(Type::Long, call.rows, |row| Some(combine(values.iter().map(|value| value.get(row)))))
    }),
    kernel("hash_combine", |call| {
        let values: Vec<_> = (0..call.args.len()).map(|index| call.longs(index)).collect::<Result<_>>()?;
        build::longs(Type::Long, call.rows, |row| Some(combine(values.iter().map(|value| value.get(row).unwrap_or(0)))))
    }),
    kernel("hash_md5", digest::<Md5>),
    kernel("hash_sha1", digest::<Sha1>),
    kernel("hash_sha256", digest::<Sha256>),
    impure("new_guid", |call| build::guids(call.rows, |_| Some(uuid::Uuid::new_v4().as_u128()))),
];

fn digest<D: Digest>(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = AnyText::of(call.arg(0)?, call.ty(0))?;
    Ok(build::texts(call.rows, |row| {
        let text = texts.get(row);
        // Kusto's digest of nothing is nothing.
        if text.is_empty() {
            return String::new();
        }
        let bytes = D::digest(text.as_bytes());
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    }))
}

/// xxHash64 of a value: text by its UTF-8 bytes; numbers by their bytes, little-endian; times by those of their ticks.
enum Hashed<'a> {
    Text(AnyText<'a>),
    Int(Longs<'a>),
    Long(Longs<'a>),
    Real(Reals<'a>),
    Ticks { times: Longs<'a>, epoch: i64 },
    Bool(Bools<'a>),
}

impl<'a> Hashed<'a> {
    fn of(call: &Call<'a>, index: usize) -> Result<Hashed<'a>> {
        let arg: &'a Arg = call.arg(index)?;
        Ok(match call.ty(index) {
            Type::Int => Hashed::Int(Longs::of(arg)?),
            Type::Long => Hashed::Long(Longs::of(arg)?),
            Type::Real => Hashed::Real(Reals::of(arg)?),
            Type::Datetime => Hashed::Ticks { times: Longs::of(arg)?, epoch: EPOCH_TICKS },
            Type::Timespan => Hashed::Ticks { times: Longs::of(arg)?, epoch: 0 },
            Type::Bool => Hashed::Bool(Bools::of(arg)?),
            ty => Hashed::Text(AnyText::of(arg, ty)?),
        })
    }

    fn get(&self, row: usize) -> i64 {
        let long = |value: Option<i64>| xxh64(&value.unwrap_or(0).to_le_bytes(), 0);
        let hash = match self {
            Hashed::Text(texts) => xxh64(texts.get(row).as_bytes(), 0),
            Hashed::Int(longs) => xxh64(&(longs.get(row).unwrap_or(0) as i32).to_le_bytes(), 0),
            Hashed::Long(longs) => long(longs.get(row)),
            Hashed::Real(reals) => xxh64(&reals.get(row).unwrap_or(0.0).to_le_bytes(), 0),
            Hashed::Ticks { times, epoch } => {
                long(times.get(row).map(|nanos| nanos.div_euclid(kyma_core::time::TICK).wrapping_add(*epoch)))
            }
            Hashed::Bool(bools) => xxh64(&[u8::from(bools.get(row).unwrap_or(false))], 0),
        };
        hash as i64
    }
}

/// The combination of 64-bit hashes that Boost made common. Kusto's is not documented: these values differ from its.
fn combine(hashes: impl Iterator<Item = i64>) -> i64 {
    hashes.fold(0_u64, |seed, hash| {
        let mixed = (hash as u64).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(seed << 6).wrapping_add(seed >> 2);
        seed ^ mixed
    }) as i64
}
