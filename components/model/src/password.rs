//! The rule for new passwords. (Old ones log in whatever they look like.)

use serde_json::Value;

use crate::text;

/// The longest password that is hashed, in bytes.
pub const LONGEST: usize = 1_024;
const SHORTEST: usize = 8;

/// A new password: 8 characters or more, with lower and upper case, a digit and a symbol.
pub fn strong(value: &Value) -> Result<String, String> {
    let password = text::any(value)?;
    if password.len() > LONGEST {
        return Err(format!("must have at most {LONGEST} bytes"));
    }
    let has = |kind: fn(char) -> bool| password.chars().any(kind);
    let is_strong = password.chars().count() >= SHORTEST
        && has(char::is_lowercase)
        && has(char::is_uppercase)
        && has(char::is_numeric)
        && has(|character| !character.is_alphanumeric() && !character.is_control());
    if is_strong {
        Ok(password.into())
    } else {
        Err(format!(
            "is not strong enough: at least {SHORTEST} characters with lower case, upper case, a digit and a symbol"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_character_is_asked_for() {
        assert_eq!(strong(&json!("Passw0rd!")).as_deref(), Ok("Passw0rd!"));
        for weak in ["", "Pa0!", "passw0rd!", "PASSW0RD!", "Password!", "Passw0rdd"] {
            assert!(strong(&json!(weak)).is_err(), "{weak}");
        }
        assert!(strong(&json!(format!("Aa1!{}", "a".repeat(1_021)))).is_err());
        assert!(strong(&json!(12_345_678)).is_err());
    }
}
