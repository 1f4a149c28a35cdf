//! What the product's values look like on the wire, as the components describe them for `GET /openapi.json`.

use devconnect_sdk::openapi::{Answer, Field, Named, Schema};

/// A text, or the null that an earlier program stored.
pub const TEXT_OR_NULL: Schema = Schema::AnyOf(&[Schema::Text, Schema::Null]);
const STORED_TIER: Schema = Schema::About("free, silver or gold, or what an earlier program stored", &Schema::Text);
/// A number, or the null that an earlier program stored.
pub const NUMBER_OR_NULL: Schema = Schema::AnyOf(&[Schema::Number, Schema::Null]);
/// A moment, or the null that an earlier program stored.
pub const DATE_OR_NULL: Schema = Schema::AnyOf(&[Schema::Date, Schema::Null]);

/// A user as its owner sees it: [`crate::user::own`].
pub const OWN_USER: Named = Named {
    name: "OwnUser",
    about: "A user as its owner sees it",
    schema: Schema::Object(&[
        Field::Required("_id", Schema::Id),
        Field::Optional("firstName", TEXT_OR_NULL),
        Field::Optional("lastName", TEXT_OR_NULL),
        Field::Required("emailId", Schema::Text),
        Field::Optional("photoUrl", TEXT_OR_NULL),
        Field::Optional("age", NUMBER_OR_NULL),
        Field::Optional("gender", TEXT_OR_NULL),
        Field::Optional("about", TEXT_OR_NULL),
        Field::Required("skills", Schema::List(&TEXT_OR_NULL)),
        Field::Required("isPremium", Schema::Boolean),
        Field::Required("membershipTier", STORED_TIER),
        Field::Optional("premiumActivatedAt", DATE_OR_NULL),
        Field::Required("emailPreferences", Schema::Named(&EMAIL_PREFERENCES)),
        Field::Optional("createdAt", DATE_OR_NULL),
        Field::Optional("updatedAt", DATE_OR_NULL),
    ]),
};

/// A user as others see it: [`crate::user::safe`].
pub const SAFE_USER: Named = Named {
    name: "SafeUser",
    about: "A user as others see it",
    schema: Schema::Object(&[
        Field::Required("_id", Schema::Id),
        Field::Optional("firstName", TEXT_OR_NULL),
        Field::Optional("lastName", TEXT_OR_NULL),
        Field::Optional("photoUrl", TEXT_OR_NULL),
        Field::Optional("age", NUMBER_OR_NULL),
        Field::Optional("gender", TEXT_OR_NULL),
        Field::Optional("about", TEXT_OR_NULL),
        Field::Required("skills", Schema::List(&TEXT_OR_NULL)),
        Field::Required("isPremium", Schema::Boolean),
        Field::Required("membershipTier", STORED_TIER),
    ]),
};

/// Which mails a user wants: [`crate::preferences::of`].
pub const EMAIL_PREFERENCES: Named = Named {
    name: "EmailPreferences",
    about: "Which mails a user wants",
    schema: Schema::Object(&[
        Field::Required("welcomeEmail", Schema::Boolean),
        Field::Required("connectionRequests", Schema::Boolean),
        Field::Required("loginSuggestions", Schema::Boolean),
        Field::Required("marketingEmails", Schema::Boolean),
    ]),
};

/// A membership.
pub const TIER: Schema = Schema::OneOf(&["free", "silver", "gold"]);
/// A first or a last name that somebody gives: [`crate::profile::name`].
pub const NAME: Schema = Schema::About("Counted without the spaces around it", &Schema::TextOf(1, 50));
/// A new password: [`crate::password::strong`].
pub const NEW_PASSWORD: Schema =
    Schema::About("With lower case, upper case, a digit and a symbol; 1,024 bytes at most", &Schema::TextOf(8, 1_024));
/// The skills that somebody gives.
pub const SKILLS: Schema = Schema::ListOf(&Schema::TextOf(1, 50), 50);

/// What is wrong with what was sent.
pub const BAD_REQUEST: Answer = Answer::Error(400, "Something in it is wrong; nothing was changed");
/// A member who was deleted.
pub const NO_USER: Answer = Answer::Error(404, "There is no such user");
/// A [rate](crate::rate::Rate) that is reached.
pub const LIMITED: Answer = Answer::Error(429, "Too often");
