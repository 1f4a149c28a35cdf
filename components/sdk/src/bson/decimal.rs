//! Decimal128, which only old documents have: as the text that MongoDB's own tools write.

/// What is added to an exponent.
const BIAS: i32 = 6_176;
/// The largest coefficient, of 34 digits.
const LARGEST: u128 = 10_u128.pow(34) - 1;

/// The number as text; none where these are not its 16 bytes.
pub(super) fn text(payload: &[u8]) -> Option<String> {
    let bits = u128::from_le_bytes(payload.try_into().ok()?);
    let sign = if bits >> 127 == 1 { "-" } else { "" };
    match (bits >> 122) & 0b1_1111 {
        0b1_1111 => return Some("NaN".into()),
        0b1_1110 => return Some(format!("{sign}Infinity")),
        _ => {}
    }
    // In its second form a coefficient is larger than the largest, and such a one is 0.
    let (exponent, coefficient) = match (bits >> 125) & 0b11 {
        0b11 => ((bits >> 111) & 0x3FFF, 0),
        _ => ((bits >> 113) & 0x3FFF, bits & ((1 << 113) - 1)),
    };
    let digits = if coefficient > LARGEST { 0 } else { coefficient }.to_string();
    let exponent = i32::try_from(exponent).ok()? - BIAS;
    let scientific = exponent + i32::try_from(digits.len()).ok()? - 1;
    if exponent > 0 || scientific < -6 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return Some(format!("{sign}{first}{point}{rest}E{scientific:+}"));
    }
    let places = usize::try_from(exponent.unsigned_abs()).ok()?;
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, part) = padded.split_at(padded.len() - places);
    let point = if part.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{part}"))
}
