//! Every minute it is looked after what is built: the index from all members, and the model from all requests. Mostly there is
//! nothing to do. A part of a tick is a page, and its cursor says where the next one begins.

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use devconnect_sdk::schedule::Tick;

use crate::available::LEAST;
use crate::state::{self, State};
use crate::{indexing, learning};

/// How long an index is good before all members are looked at again, in seconds.
const INDEX_AGE: i64 = 7 * 86_400;
/// How far ahead the moment is from which on events count: longer than hosts' clocks differ, and than a commit takes; seconds.
const AHEAD: i64 = 10;
/// The cursor of the requests; how far they are read stands in the state, since each may count once only.
const REQUESTS: &str = "requests";

pub(crate) fn build(tick: &Tick) -> Result<Option<String>, Failure> {
    match tick.cursor() {
        None => {
            let since = clock::now().plus_seconds(-INDEX_AGE);
            match State::read()?.index {
                Some(index) if index.is_good(since) => model(),
                _ => Ok(Some(LEAST.to_hex())),
            }
        }
        Some(REQUESTS) => model(),
        Some(cursor) => {
            let after = cursor.parse::<ObjectId>();
            let after =
                after.map_err(|_| Failure::Reject(format!("the cursor is {cursor:?}, which is no ObjectId")))?;
            match indexing::look_on(after)? {
                Some(last) => Ok(Some(last.to_hex())),
                None => {
                    state::index_is_built(clock::now())?;
                    Ok(Some(REQUESTS.to_owned()))
                }
            }
        }
    }
}

fn model() -> Result<Option<String>, Failure> {
    let now = clock::now();
    match State::read()?.model {
        None => {
            state::model_is_begun(now.plus_seconds(AHEAD))?;
            Ok(None)
        }
        Some(model) if model.is_built || model.since > now => Ok(None),
        Some(model) => Ok((!learning::read_on(&model)?).then(|| REQUESTS.to_owned())),
    }
}
