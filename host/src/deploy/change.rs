//! Changing what is deployed: each change is decided on a row as it is, and committed against the head's revision.
//!
//! Where other components changed meanwhile it is decided again; where this one did, whoever asked decided on something else,
//! and is told.

use std::sync::Arc;

use bson::oid::ObjectId;
use bson::{RawDocumentBuf, doc};

use super::blobs::Blobs;
use super::trial::{Rule, Tallies, Tally, Trial, Verdict};
use super::{Deployed, Deployments, Refusal, Row, Version, blocking, row};
use crate::capability::documents::{Commit, Error, Write, date};
use crate::capability::redis::Channel;
use crate::engine::Loaded;
use crate::registry::{Bundle, DeployError};

/// How a component is deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct How {
    /// What it asks for beyond the version that serves is accepted.
    pub accept_grants: bool,
    /// It is tried out on some first.
    pub share: Option<Share>,
}

/// On how many a version is tried out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// In percent (1 to 100).
    pub weight: u8,
    /// What ends the trial; none: the operator, or the rule that it has already.
    pub rule: Option<Rule>,
}

/// A change of one row.
struct Plan {
    row: Row,
    /// What is forgotten for it.
    forgotten: Vec<Version>,
}

/// What is written down of a change.
#[derive(Clone, Copy)]
struct Said<'a> {
    /// `deploy`, `canary`, `promote`, `rollback` or `remove`.
    what: &'static str,
    /// Why, where no operator wanted it.
    why: Option<&'a str>,
}

impl Deployments {
    /// Deploys a component: when it answers, this host serves it, and the others are about to.
    ///
    /// # Errors
    /// What is wrong with the component, and what is not accepted or not there. What served before goes on serving.
    pub async fn deploy(&self, wasm: Vec<u8>, how: How) -> Result<Deployed, Refusal> {
        let registry = self.registry.clone();
        let (bundle, loaded) = blocking(move || {
            let bundle = Bundle::read("the component", wasm)?;
            let loaded = registry.load(&bundle)?;
            Ok((bundle, loaded))
        })
        .await?;
        self.try_out(&loaded).await?;
        crate::abort::here("deploy-checked");
        let (name, now) = (loaded.manifest.component.name.as_str(), self.clock.now());
        let decide = |row: &Row| self.plan(row, &loaded, how, now);
        // What is refused leaves nothing behind, and what is named is there.
        decide(&self.row(name).await?)?;
        self.blobs.forget_unnamed(now).await?;
        self.blobs.put(&bundle.sha256, &bundle.wasm, now).await?;
        if let Some(kept) = &self.kept {
            kept.keep_file(&bundle.sha256, &bundle.wasm);
        }
        crate::abort::here("deploy-stored");
        let what = if how.share.is_some() { "canary" } else { "deploy" };
        self.change(name, Said { what, why: None }, Some(&loaded), decide).await
    }

    fn plan(&self, row: &Row, loaded: &Arc<Loaded>, how: How, now: u64) -> Result<Plan, Refusal> {
        let name = &row.name;
        self.registry.fits(loaded).map_err(DeployError::from)?;
        let running = self.registry.component(name).filter(|_| row.serving.is_some());
        let granted = running.as_ref().map(|running| running.manifest.grants.clone()).unwrap_or_default();
        let beyond = loaded.manifest.grants.beyond(&granted);
        let accepted = how.accept_grants || row.version(&loaded.sha256).is_some();
        if !accepted && !beyond.is_empty() {
            return Err(Refusal::Grants { name: name.clone(), beyond });
        }
        let (mut row, sha256) = (row.clone(), loaded.sha256.clone());
        let version = Version { sha256: sha256.clone(), version: loaded.manifest.component.version.clone(), at: now };
        let Some(Share { weight, rule }) = how.share else {
            let forgotten = row.serve(version);
            return Ok(Plan { row, forgotten });
        };
        let Some(running) = running else {
            let why = format!("{name} does not serve yet; deploy it without --weight first");
            return Err(Refusal::Unknown(why));
        };
        if row.serving.as_ref() == Some(&sha256) {
            return Ok(Plan { row, forgotten: Vec::new() });
        }
        if let Some(route) = loaded.manifest.other_session_rule(&running.manifest) {
            return Err(Refusal::Untriable { name: name.clone(), route });
        }
        // A trial whose weight is changed goes on.
        let trial = match row.canary.take().filter(|trial| trial.sha256 == sha256) {
            Some(trial) => Trial { weight, rule: rule.or(trial.rule), ..trial },
            None => Trial { sha256, weight, run: ObjectId::new().to_hex(), since: now, rule },
        };
        let forgotten = row.try_out(version, trial);
        Ok(Plan { row, forgotten })
    }

    /// Has the canary of a component serve.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn promote(&self, name: &str) -> Result<Deployed, Refusal> {
        let row = self.row(name).await?;
        let trial = row.canary.ok_or_else(|| Refusal::Unknown(format!("{name} has no canary to promote")))?;
        self.end_trial(name, &trial, Said { what: "promote", why: None }).await
    }

    /// Goes back: from a canary to the version that serves; without one, or where `to` is given, to an earlier version, the
    /// one whose hash begins like that or the one before.
    ///
    /// # Errors
    /// Where there is no such version.
    pub async fn roll_back(&self, name: &str, to: Option<&str>) -> Result<Deployed, Refusal> {
        let row = self.row(name).await?;
        let said = Said { what: "rollback", why: None };
        let target = match (to, &row.canary) {
            (None, Some(trial)) => return self.end_trial(name, trial, said).await,
            (None, None) => row.before(),
            (Some(to), _) => row.versions.iter().find(|version| !to.is_empty() && version.sha256.starts_with(to)),
        };
        let Some(target) = target.cloned() else {
            let known: Vec<&str> = row.versions.iter().filter_map(|version| version.sha256.get(..12)).collect();
            let why = format!("{name} has no such version to go back to; the last ones are {}", known.join(", "));
            return Err(Refusal::Unknown(why));
        };
        let loaded = self.fetch(name, &target.sha256).await?;
        self.change(name, said, Some(&loaded), |now| {
            self.registry.fits(&loaded).map_err(DeployError::from)?;
            if *now != row {
                return Err(Refusal::Conflict(name.to_owned()));
            }
            let mut row = row.clone();
            row.go_to(&target.sha256);
            Ok(Plan { row, forgotten: Vec::new() })
        })
        .await
    }

    /// Takes a component out of service. Its versions stay, to be gone back to.
    ///
    /// # Errors
    /// Where it is not in service.
    pub async fn remove(&self, name: &str) -> Result<Deployed, Refusal> {
        self.change(name, Said { what: "remove", why: None }, None, |row| {
            if row.serving.is_none() {
                return Err(Refusal::Unknown(format!("no component {name:?} is deployed")));
            }
            Ok(Plan { row: Row { serving: None, canary: None, ..row.clone() }, forgotten: Vec::new() })
        })
        .await
    }

    /// Promotes a canary, or goes back from it; refused when it is not that trial any more.
    async fn end_trial(&self, name: &str, trial: &Trial, said: Said<'_>) -> Result<Deployed, Refusal> {
        let loaded = match said.what {
            "promote" => Some(self.fetch(name, &trial.sha256).await?),
            _ => None,
        };
        self.change(name, said, loaded.as_ref(), |row| {
            if row.canary.as_ref().is_none_or(|now| now.run != trial.run) {
                return Err(Refusal::Conflict(name.to_owned()));
            }
            let mut row = row.clone();
            match &loaded {
                Some(loaded) => {
                    self.registry.fits(loaded).map_err(DeployError::from)?;
                    row.go_to(&trial.sha256);
                }
                None => row.canary = None,
            }
            Ok(Plan { row, forgotten: Vec::new() })
        })
        .await
    }

    /// Counts for the trials that have a rule, and does what it says.
    pub(super) async fn judge(&self, rows: impl Iterator<Item = &Row>) -> Result<(), Refusal> {
        for (row, trial) in rows.filter_map(|row| Some((row, row.canary.as_ref()?))) {
            let Some(rule) = trial.rule else { continue };
            let tally = self.tally(row, trial).await?;
            let seconds = self.clock.now().saturating_sub(trial.since) / 1_000;
            let what = match rule.judge(tally, seconds) {
                Verdict::Wait => continue,
                Verdict::Promote => "promote",
                Verdict::GoBack => "rollback",
            };
            let Tally { calls, failed } = tally;
            let why = format!("{failed} of {calls} calls failed in {seconds} s, at most {} % may", rule.max_errors);
            match self.end_trial(&row.name, trial, Said { what, why: Some(&why) }).await {
                Ok(_) => tracing::warn!(component = row.name, what, why, "a canary's rule has decided"),
                // Another host was first.
                Err(Refusal::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How the calls of a canary ended on all hosts, with this one's as they are now.
    pub(super) async fn tally(&self, row: &Row, trial: &Trial) -> Result<Tally, Refusal> {
        let canary = self.registry.served(&row.name).and_then(|served| served.version(&trial.sha256).cloned());
        if let Some(version) = canary {
            let (calls, failed) = version.counts.judged();
            self.tallies.write(&row.name, &trial.run, Tally { calls, failed }).await?;
        }
        Ok(self.tallies.read(&row.name, &trial.run).await?)
    }

    pub(super) async fn row(&self, name: &str) -> Result<Row, Refusal> {
        Ok(self.catch_up().await?.row(name))
    }

    /// Instantiates it once, with every capability denied.
    async fn try_out(&self, loaded: &Arc<Loaded>) -> Result<(), Refusal> {
        let tried = self.registry.engine().try_out(loaded).await;
        let name = loaded.manifest.component.name.clone();
        Ok(tried.map_err(|failure| DeployError::Instance { name, why: failure.to_string() })?)
    }

    async fn change(
        &self,
        name: &str,
        said: Said<'_>,
        loaded: Option<&Arc<Loaded>>,
        decide: impl Fn(&Row) -> Result<Plan, Refusal>,
    ) -> Result<Deployed, Refusal> {
        let mut first: Option<Row> = None;
        loop {
            let cluster = self.catch_up().await?;
            let row = cluster.row(name);
            if first.get_or_insert_with(|| row.clone()) != &row {
                return Err(Refusal::Conflict(name.to_owned()));
            }
            let plan = decide(&row)?;
            let before = row.serving.clone();
            if (&row.serving, &row.canary) == (&plan.row.serving, &plan.row.canary) {
                return Ok(Deployed { row: plan.row, before, changed: false });
            }
            let commit = self.commit(&plan, said, &row, cluster.revision)?;
            match self.documents.commit(commit).await {
                Ok(_) => {
                    crate::abort::here("deploy-committed");
                    let ready = loaded.map(|loaded| (loaded.sha256.clone(), loaded.clone()));
                    self.catch_up_with(ready.into_iter().collect()).await?;
                    crate::abort::here("deploy-served");
                    self.ring().await;
                    return Ok(Deployed { row: plan.row, before, changed: true });
                }
                Err(Error::Unmet(0)) => {}
                Err(Error::Unmet(_)) => return Err(Refusal::Conflict(name.to_owned())),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Tells the other hosts.
    async fn ring(&self) {
        if let Some(bell) = &self.bell
            && let Err(why) = bell.publish(Channel::Deploys, b"").await
        {
            tracing::debug!(%why, "other hosts are not told, and look for themselves");
        }
    }

    fn commit(&self, plan: &Plan, said: Said<'_>, before: &Row, revision: i64) -> Result<Commit, Error> {
        let row = &plan.row;
        let canary = row.canary.as_ref().map(|trial| trial.sha256.clone());
        let line = doc! {
            "_id": ObjectId::new(), "at": date(self.clock.now()), "component": &row.name, "what": said.what, "why": said.why,
            "from": before.serving.clone(), "to": row.serving.clone(), "canary": canary,
            "weight": row.canary.as_ref().map(|trial| i32::from(trial.weight)), "revision": revision + 1,
        };
        let document = RawDocumentBuf::try_from(&line).map_err(|error| Error::Invalid(error.to_string()))?;
        let mut writes = vec![row::raise(revision)?];
        // Somebody may have just forgotten it.
        for named in row.named() {
            writes.push(Blobs::name(named)?);
        }
        writes.push(row.write()?);
        writes.push(Write::Insert { collection: super::LOG.to_owned(), document });
        for version in &plan.forgotten {
            writes.push(Blobs::forget(&version.sha256)?);
        }
        if before.canary.is_some() && row.canary.is_none() {
            writes.push(Tallies::forget(&row.name)?);
        }
        Ok(Commit { writes, events: Vec::new() })
    }
}
