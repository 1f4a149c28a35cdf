//! Explaining: the server's plan, and whether the number of documents it reads grows with the collection.

use ::mongodb::Database;
use bson::{Bson, Document, doc};

use capability::documents::filter::{Comparison, Condition, Field, Node, Test};
use capability::documents::{Error, Filter, MAX_LIMIT, Plan, Query};

use crate::refusal::store_error;
use crate::{MAX_TIME, read};

/// The reads of a plan's stages.
#[derive(Debug, Default)]
struct Reading {
    steps: Vec<String>,
    /// A whole collection or a whole index is scanned.
    whole: bool,
    /// The limit does not end the scan early: the documents are filtered or sorted afterwards.
    narrowed_later: bool,
}

/// How the server would run a query.
pub(super) async fn explain(database: &Database, query: &Query) -> Result<Plan, Error> {
    let find = doc! {
        "find": &query.collection,
        "filter": read::filter(&query.filter)?,
        "sort": read::sort(&query.sort),
        "projection": query.projection.to_document(),
        "skip": i64::from(query.skip),
        "limit": i64::from(query.limit),
    };
    let time = i64::try_from(MAX_TIME.as_millis()).unwrap_or(i64::MAX);
    let command = doc! { "explain": find, "verbosity": "queryPlanner", "maxTimeMS": time };
    let reply = database.run_command(command).await.map_err(|error| store_error(&error))?;
    let plan = reply.get_document("queryPlanner").and_then(|planner| planner.get_document("winningPlan"));
    let mut reading = Reading::default();
    if let Ok(plan) = plan {
        reading.stage(plan, &query.filter);
    }
    let taken = u64::from(query.skip) + u64::from(query.limit);
    let walks = !reading.narrowed_later && taken <= u64::from(MAX_LIMIT);
    Ok(Plan { indexed: !reading.whole || walks, steps: reading.steps })
}

impl Reading {
    /// A stage and, after it, its inputs.
    fn stage(&mut self, plan: &Document, filter: &Filter) {
        if let Ok(stage) = plan.get_str("stage") {
            match stage {
                "IXSCAN" => self.index(plan, filter),
                "COLLSCAN" => {
                    self.whole = true;
                    self.narrowed_later |= plan.get_document("filter").is_ok_and(|filter| !filter.is_empty());
                    self.steps.push(stage.to_owned());
                }
                _ => {
                    let filters = plan.get_document("filter").is_ok_and(|filter| !filter.is_empty());
                    self.narrowed_later |= filters || stage == "SORT" || stage == "OR" || stage == "AND_SORTED";
                    self.steps.push(stage.to_owned());
                }
            }
        }
        for inner in ["queryPlan", "inputStage", "shards"] {
            if let Ok(inner) = plan.get_document(inner) {
                self.stage(inner, filter);
            }
        }
        for inner in plan.get_array("inputStages").into_iter().flatten().filter_map(Bson::as_document) {
            self.stage(inner, filter);
        }
    }

    fn index(&mut self, plan: &Document, filter: &Filter) {
        let bounds = plan.get_document("indexBounds").ok();
        let first = bounds.and_then(|bounds| bounds.iter().next());
        let whole = first.is_some_and(|(path, intervals)| {
            let intervals = intervals.as_array().map(Vec::as_slice).unwrap_or_default();
            let all = |interval: &Bson| matches!(interval.as_str(), Some("[MinKey, MaxKey]" | "[MaxKey, MinKey]"));
            intervals.iter().any(all) || (path == "_id" && is_open(filter.root()))
        });
        self.whole |= whole;
        self.narrowed_later |= plan.get_document("filter").is_ok_and(|filter| !filter.is_empty());
        let name = plan.get_str("indexName").unwrap_or("unknown");
        let bounds = bounds.map(ToString::to_string).unwrap_or_default();
        self.steps.push(format!("IXSCAN {name} {bounds}"));
    }
}

/// Whether the filter's `_id`s are a range with an open end, as a cursor for paging has: that narrows nothing.
fn is_open(nodes: &[Node]) -> bool {
    let (mut lower, mut upper, mut points) = (false, false, false);
    let mut pending: Vec<&Node> = nodes.iter().collect();
    while let Some(node) = pending.pop() {
        match node {
            Node::And(lists) => pending.extend(lists.iter().flatten()),
            Node::Or(_) => return false,
            Node::Field(Field { path, condition: Condition::Is(test), .. }) if path == "_id" => match test {
                Test::Compare(Comparison::Less | Comparison::LessOrEqual, _) => upper = true,
                Test::Compare(Comparison::Greater | Comparison::GreaterOrEqual, _) => lower = true,
                Test::Equal(_) | Test::In(_) => points = true,
                _ => {}
            },
            Node::Field(_) => {}
        }
    }
    !(points || lower && upper)
}
