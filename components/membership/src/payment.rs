//! A payment as it is stored: whose it is, for which tier, how much, and whether it is paid. It is written before the
//! payment server hears of it, and never changes whose and what it is.

use devconnect_sdk::prelude::*;
use devconnect_sdk::random;
use model::user;

use crate::phonepe::{PhonePe, Report};
use crate::tier::Tier;

const COLLECTION: &str = "payments";
/// How many of a tier's payments are asked for when nobody says which one is meant.
const NEWEST: u32 = 3;
/// For how long one that nobody pays is kept, in milliseconds. One that is paid stays.
const UNPAID: i64 = 90 * 86_400_000;

/// It was begun, and may be paid.
const PENDING: &str = "pending";
/// It was not paid, by the payment server's word; should the server say otherwise later, it is.
const FAILED: &str = "failed";
/// It is paid, and its tier counts.
const DONE: &str = "done";

/// A stored payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    /// The payment server's name for it: 32 hex digits, which nobody can guess.
    pub(crate) id: String,
    pub(crate) user: ObjectId,
    pub(crate) tier: Tier,
    /// In paise.
    pub(crate) amount: i64,
    pub(crate) is_done: bool,
}

impl Payment {
    /// A new one, stored.
    pub(crate) fn begin(user: ObjectId, tier: Tier) -> Result<Self, Error> {
        let payment = Self { id: random::hex(16), user, tier, amount: tier.price(), is_done: false };
        let now = clock::now();
        let document = doc! {
            "_id": payment.id.as_str(),
            "userId": user,
            "membershipTier": tier.as_str(),
            "amount": payment.amount,
            "state": PENDING,
            "createdAt": now,
            "updatedAt": now,
            "expiresAt": DateTime::from_millis(now.millis() + UNPAID),
        };
        Commit::new().insert(COLLECTION, &document).run()?;
        Ok(payment)
    }

    /// The one with this id.
    pub(crate) fn find(id: &str) -> Result<Option<Self>, Error> {
        let stored: Option<Document> = collection(COLLECTION).by_id(id)?;
        Ok(stored.as_ref().and_then(Self::of))
    }

    /// The newest ones of a member for a tier that may be paid or are, the newest first.
    pub(crate) fn newest(user: ObjectId, tier: Tier) -> Result<Vec<Self>, Error> {
        let wanted = doc! { "userId": user, "membershipTier": tier.as_str(), "state": { "$in": [PENDING, DONE] } };
        let query = collection(COLLECTION).find(wanted).sort(doc! { "createdAt": -1 }).limit(NEWEST);
        let stored: Vec<Document> = query.all()?;
        Ok(stored.iter().filter_map(Self::of).collect())
    }

    fn of(stored: &Document) -> Option<Self> {
        Some(Self {
            id: stored.get_str("_id")?.to_owned(),
            user: stored.get_oid("userId")?,
            tier: Tier::named(stored.get_str("membershipTier")?)?,
            amount: stored.get_i64("amount")?,
            is_done: stored.get_str("state") == Some(DONE),
        })
    }

    /// The payment server has said that it is paid: its tier counts, once. Nothing is done where the word is about
    /// another payment or another amount.
    pub(crate) fn paid(&self, report: &Report, phonepe: &PhonePe) -> Result<(), Error> {
        if let Some(what) = report.differs(self, phonepe) {
            let (said, amount) = (format!("{report:?}"), self.amount.to_string());
            let fields = [("payment", self.id.as_str()), ("what", what), ("recorded", &amount), ("said", &said)];
            log::warn("the payment server's word is not about what is recorded", &fields);
            return Err(Error::bad_request("This is not the payment that was recorded; nothing was changed"));
        }
        if self.is_done {
            return Ok(());
        }
        let now = clock::now();
        let mut set = doc! { "state": DONE, "paidAt": now, "updatedAt": now };
        if let Some(reference) = &report.reference {
            set.insert("reference", reference.as_str());
        }
        let recorded = doc! {
            "_id": self.id.as_str(),
            "userId": self.user,
            "membershipTier": self.tier.as_str(),
            "amount": self.amount,
            "state": { "$ne": DONE },
        };
        // A payment that comes late takes nothing away from who has more already.
        let mut member = doc! { "_id": self.user };
        if self.tier < Tier::Gold {
            member.insert("membershipTier", doc! { "$ne": Tier::Gold.as_str() });
        }
        let upgrade = doc! {
            "membershipTier": self.tier.as_str(), "isPremium": true, "premiumActivatedAt": now, "updatedAt": now,
        };
        let committed = Commit::new()
            .update(COLLECTION, recorded, doc! { "$set": set, "$unset": { "expiresAt": "" } })
            .must_match()
            .update(user::COLLECTION, member, doc! { "$set": upgrade })
            .run();
        match committed {
            Ok(effects) => {
                if effects.get(1).is_none_or(|effect| effect.matched == 0) {
                    let fields = [("payment", self.id.as_str()), ("tier", self.tier.as_str())];
                    log::warn("a payment is done, and its member is gone or has more already", &fields);
                }
                Ok(())
            }
            // Somebody else was told at the same time.
            Err(error) if error.is_unmet(0) => match Self::find(&self.id)? {
                Some(payment) if payment.is_done => Ok(()),
                _ => Err(missing()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The payment server has said that it is not paid and will not be.
    pub(crate) fn failed(&self) -> Result<(), Error> {
        let pending = doc! { "_id": self.id.as_str(), "state": PENDING };
        let change = doc! { "$set": { "state": FAILED, "updatedAt": clock::now() } };
        Commit::new().update(COLLECTION, pending, change).run()?;
        Ok(())
    }
}

/// 404.
pub(crate) fn missing() -> Error {
    Error::not_found("There is no such payment")
}
