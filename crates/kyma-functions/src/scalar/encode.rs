//! Base64 and URL encodings.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use kyma_core::{Result, Type};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value as Json;

use super::text::map;
use super::{Kernel, kernel};
use crate::view::Guids;
use crate::{Call, build, json};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("base64_encode_tostring", |call| map(call, |text| Cow::Owned(BASE64.encode(text)))),
    kernel("base64_decode_tostring", |call| {
        map(call, |text| {
            let decoded = decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
            Cow::Owned(decoded.unwrap_or_default())
        })
    }),
    kernel("base64_decode_toarray", |call| {
        let texts = call.texts(0)?;
        Ok(build::jsons(call.rows, |row| {
            let bytes = decode(texts.get(row))?;
            serde_json::to_string(&bytes).ok()
        }))
    }),
    kernel("base64_decode_toguid", base64_decode_toguid),
    kernel("base64_encode_fromarray", base64_encode_fromarray),
    kernel("base64_encode_fromguid", base64_encode_fromguid),
    kernel("url_encode", |call| map(call, |text| Cow::Owned(percent_encode(text, QUERY).replace("%20", "+")))),
    kernel("url_encode_component", |call| map(call, |text| Cow::Owned(percent_encode(text, COMPONENT)))),
    kernel("url_decode", |call| {
        map(call, |text| {
            let blanks = text.replace('+', " ");
            Cow::Owned(percent_decode_str(&blanks).decode_utf8_lossy().into_owned())
        })
    }),
];

/// With small hexadecimal digits, as Kusto writes them.
fn percent_encode(text: &str, reserved: &'static AsciiSet) -> String {
    let mut out = String::with_capacity(text.len());
    for part in utf8_percent_encode(text, reserved) {
        match part.as_bytes() {
            [b'%', _, _] => out.push_str(&part.to_ascii_lowercase()),
            _ => out.push_str(part),
        }
    }
    out
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'!').remove(b'*').remove(b'(').remove(b')');
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.trim()).ok()
}

/// The bytes of a guid in the order of .NET: the first three groups are little-endian.
fn shuffled(bytes: [u8; 16]) -> [u8; 16] {
    let b = bytes;
    [b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]
}

fn base64_decode_toguid(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    build::guids(call.rows, |row| {
        let bytes: [u8; 16] = decode(texts.get(row))?.try_into().ok()?;
        Some(u128::from_be_bytes(shuffled(bytes)))
    })
}

fn base64_encode_fromguid(call: &Call<'_>) -> Result<ArrayRef> {
    let guids = Guids::of(call.arg(0)?)?;
    Ok(build::texts(call.rows, |row| {
        guids.get(row).map(|guid| BASE64.encode(shuffled(guid.to_be_bytes()))).unwrap_or_default()
    }))
}

fn base64_encode_fromarray(call: &Call<'_>) -> Result<ArrayRef> {
    debug_assert_eq!(call.out, Type::String);
    let jsons = call.jsons(0)?;
    Ok(build::texts(call.rows, |row| {
        let items = jsons.get(row).and_then(json::array).unwrap_or_default();
        let bytes: Option<Vec<u8>> =
            items.iter().map(|item| Json::as_u64(item).and_then(|byte| u8::try_from(byte).ok())).collect();
        bytes.map(|bytes| BASE64.encode(bytes)).unwrap_or_default()
    }))
}
