//! Conversions by name.

use arrow::array::ArrayRef;
use kyma_core::{Result, Type};
use serde_json::Value as Json;

use super::{Kernel, kernel};
use crate::convert::AnyText;
use crate::{Call, build, json};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("tostring", to_out),
    kernel("tolong", to_out),
    kernel("toint", to_out),
    kernel("toreal", to_out),
    kernel("todecimal", to_out),
    kernel("tobool", to_out),
    kernel("todatetime", to_out),
    kernel("totimespan", to_out),
    kernel("toguid", to_out),
    kernel("parse_json", parse_json),
    kernel("dynamic_to_json", dynamic_to_json),
    kernel("tohex", tohex),
    kernel("make_string", make_string),
    kernel("to_utf8", to_utf8),
];

fn to_out(call: &Call<'_>) -> Result<ArrayRef> {
    crate::convert(call.arg(0)?, call.ty(0), call.out, call.rows)
}

/// A dynamic that holds a string is parsed, too.
fn parse_json(call: &Call<'_>) -> Result<ArrayRef> {
    if call.ty(0) != Type::Dynamic {
        return to_out(call);
    }
    let jsons = call.jsons(0)?;
    Ok(build::jsons(call.rows, |row| {
        let json = jsons.get(row)?;
        match json.starts_with('"') {
            true => crate::convert::parse_json(&kyma_core::dynamic::to_text(json)),
            false => Some(json.to_owned()),
        }
    }))
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(sorted).collect(),
        Json::Object(members) => {
            let mut members: Vec<(String, Json)> =
                members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(members.into_iter().collect())
        }
        other => other.clone(),
    }
}

fn dynamic_to_json(call: &Call<'_>) -> Result<ArrayRef> {
    let jsons = call.jsons(0)?;
    Ok(build::texts(call.rows, |row| {
        jsons.get(row).and_then(json::parse).map(|value| sorted(&value).to_string()).unwrap_or_default()
    }))
}

fn tohex(call: &Call<'_>) -> Result<ArrayRef> {
    let (values, lengths) = (call.longs(0)?, call.longs_or(1, Some(0))?);
    let short = call.ty(0) == Type::Int;
    Ok(build::texts(call.rows, |row| {
        let Some(value) = values.get(row) else { return String::new() };
        let width = lengths.get(row).unwrap_or(0).clamp(0, 64) as usize;
        if short { format!("{:0width$x}", value as i32) } else { format!("{value:0width$x}") }
    }))
}

fn make_string(call: &Call<'_>) -> Result<ArrayRef> {
    let mut out = vec![String::new(); call.rows];
    let push = |text: &mut String, point: i64| {
        text.extend(u32::try_from(point).ok().and_then(char::from_u32));
    };
    for (index, ty) in call.types.iter().enumerate() {
        if *ty == Type::Dynamic {
            let jsons = call.jsons(index)?;
            for (row, text) in out.iter_mut().enumerate() {
                match jsons.get(row).and_then(json::parse) {
                    Some(Json::Array(items)) => {
                        items.iter().filter_map(Json::as_i64).for_each(|point| push(text, point))
                    }
                    Some(Json::Number(number)) => number.as_i64().into_iter().for_each(|point| push(text, point)),
                    _ => {}
                }
            }
        } else {
            let points = call.longs(index)?;
            out.iter_mut()
                .enumerate()
                .for_each(|(row, text)| points.get(row).into_iter().for_each(|point| push(text, point)));
        }
    }
    Ok(build::texts(call.rows, |row| out[row].as_str()))
}

fn to_utf8(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = AnyText::of(call.arg(0)?, call.ty(0))?;
    Ok(build::jsons(call.rows, |row| {
        let points: Vec<u32> = texts.get(row).chars().map(u32::from).collect();
        Some(serde_json::to_string(&points).unwrap_or_default())
    }))
}
