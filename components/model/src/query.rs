//! Values of a query that several components read in the same way.

use devconnect_sdk::http::Error;

/// A number from 1; none when it is not given or empty. One that is too large to be held is as large as can be.
pub fn whole(name: &str, text: Option<String>) -> Result<Option<u32>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.bytes().any(|byte| byte != b'0');
    if is_number {
        Ok(Some(text.parse().unwrap_or(u32::MAX)))
    } else {
        Err(Error::bad_request(format!("{name} must be a whole number from 1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_one() {
        let whole = |text: &str| whole("page", Some(text.to_owned()));
        assert_eq!((whole("1"), whole("007"), whole("")), (Ok(Some(1)), Ok(Some(7)), Ok(None)));
        assert_eq!(whole("99999999999999999999999"), Ok(Some(u32::MAX)));
        for garbage in ["0", "00", "-1", "+1", " 1", "1.0", "1e3", "0x1", "x", "١", "NaN", "1,2"] {
            assert_eq!(whole(garbage), Err(Error::bad_request("page must be a whole number from 1")), "{garbage}");
        }
    }
}
