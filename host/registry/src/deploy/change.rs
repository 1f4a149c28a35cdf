//! Changes of what is deployed: each is decided on the component's current row, and its commit requires the head's revision.
//!
//! If only other components changed meanwhile, the change is decided again; if this component changed, the caller gets
//! [`ChangeError::Conflict`]. Touches the documents, the registry and this host's folder.

use std::sync::Arc;
use std::time::Duration;

use bson::oid::ObjectId;
use bson::{RawDocumentBuf, doc};

use crate::DeployError;
use crate::deploy::blobs::Blobs;
use crate::deploy::canary::{CanaryRun, Rule, Tallies, Tally, Verdict};
use crate::deploy::cluster::Cluster;
use crate::deploy::{ChangeError, ComponentRow, Deployed, Deployments, Version, blocking, component_row};
use capability::documents::{Commit, Error, Write, date};
use capability::hosts::Channel;
use engine::Loaded;
use manifest::{Bundle, Difference};

/// How often the other hosts are notified of a change, while the channel between them does not answer, and between two tries.
const NOTIFICATIONS: u32 = 40;
const NOTIFICATION_PAUSE: Duration = Duration::from_millis(250);

/// How a component is deployed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DeployOptions {
    /// Accept what the component may see or do beyond the serving version.
    pub accept_grants: bool,
    /// Deploy it as a canary first.
    pub share: Option<Share>,
}

/// The share of a canary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The share of the callers, in percent (1 to 100).
    pub weight: u8,
    /// The rule that ends the canary run; none: the rule that the run has already or, without one, the operator.
    pub rule: Option<Rule>,
}

/// A change of one row.
struct Plan {
    /// The row after the change.
    row: ComponentRow,
    /// The versions whose files are deleted with it.
    dropped: Vec<Version>,
}

/// What the log says about a change.
#[derive(Clone, Copy)]
struct Action<'a> {
    /// `deploy`, `canary`, `promote`, `rollback` or `remove`.
    what: &'static str,
    /// The reason, when a canary's rule made the change.
    why: Option<&'a str>,
}

impl Deployments {
    /// Deploys a component: when it returns, this host serves the component, and the other hosts are about to.
    ///
    /// # Errors
    /// When the component is refused, a permission is not accepted or a canary is not possible. The version before goes on
    /// serving.
    pub async fn deploy(&self, wasm: Vec<u8>, options: DeployOptions) -> Result<Deployed, ChangeError> {
        let registry = self.registry.clone();
        let (bundle, loaded) = blocking(move || {
            let bundle = Bundle::read("the component", wasm)?;
            let loaded = registry.load(&bundle)?;
            Ok((Arc::new(bundle), loaded))
        })
        .await?;
        self.instantiate_once(&loaded).await?;
        capability::abort::here("deploy-checked");
        let (name, now) = (loaded.manifest.component.name.as_str(), self.clock.now());
        let decide = |cluster: &Cluster, row: &ComponentRow| self.plan(cluster, row, &loaded, options, now);
        // Decided first, so that a refused component leaves no file; the file is written before the commit that names it.
        let cluster = self.catch_up().await?;
        decide(&cluster, &cluster.row(name))?;
        self.blobs.delete_unnamed(now).await?;
        self.blobs.put(&bundle.sha256, &bundle.wasm, now).await?;
        self.save_locally(&bundle).await?;
        capability::abort::here("deploy-stored");
        let what = if options.share.is_some() { "canary" } else { "deploy" };
        self.change(name, Action { what, why: None }, Some(&loaded), decide).await
    }

    fn plan(
        &self,
        cluster: &Cluster,
        row: &ComponentRow,
        loaded: &Arc<Loaded>,
        options: DeployOptions,
        now: u64,
    ) -> Result<Plan, ChangeError> {
        let name = &row.name;
        self.fits(cluster, loaded)?;
        let running = self.registry.component(name).filter(|_| row.serving.is_some());
        let difference = self.difference(row, loaded);
        let accepted = options.accept_grants || row.version(&loaded.sha256).is_some();
        if !accepted && difference.widens() {
            return Err(ChangeError::Grants { name: name.clone(), difference });
        }
        let (mut row, sha256) = (row.clone(), loaded.sha256.clone());
        let version = Version { sha256: sha256.clone(), version: loaded.manifest.component.version.clone(), at: now };
        // Pages of the versions that serve now ask for their scripts, so their files stay when others come.
        row.retire(self.with_files(&row), now);
        let Some(Share { weight, rule }) = options.share else {
            let dropped = row.serve(version);
            return Ok(Plan { row, dropped });
        };
        let Some(running) = running else {
            let why = format!("{name} does not serve yet; deploy it without --weight first");
            return Err(ChangeError::Unknown(why));
        };
        if row.serving.as_ref() == Some(&sha256) {
            return Ok(Plan { row, dropped: Vec::new() });
        }
        if let Some(route) = loaded.manifest.other_session_rule(&running.manifest) {
            return Err(ChangeError::SessionRuleChanged { name: name.clone(), route });
        }
        // A canary run goes on when its weight is changed.
        let run = match row.canary.take().filter(|run| run.sha256 == sha256) {
            Some(run) => CanaryRun { weight, rule: rule.or(run.rule), ..run },
            None => CanaryRun { sha256, weight, id: ObjectId::new().to_hex(), since: now, rule },
        };
        let dropped = row.start_canary(version, run);
        Ok(Plan { row, dropped })
    }

    /// Checks that nothing else that is deployed has the routes of a version. What this host only keeps does not count.
    fn fits(&self, cluster: &Cluster, loaded: &Arc<Loaded>) -> Result<(), DeployError> {
        Ok(self.registry.fits(loaded, |other| cluster.is_current(other))?)
    }

    /// What changes in what a component may see or do when this version comes after the serving one. A host that could not load
    /// the serving version does not know what was accepted with it: there all of it is new.
    fn difference(&self, row: &ComponentRow, loaded: &Loaded) -> Difference {
        let serving = self.registry.component(&row.name).filter(|known| row.serving.as_ref() == Some(&known.sha256));
        loaded.manifest.difference(serving.as_ref().map(|serving| &*serving.manifest))
    }

    /// Promotes the canary of a component: it becomes the serving version.
    ///
    /// # Errors
    /// When there is no canary.
    pub async fn promote(&self, name: &str) -> Result<Deployed, ChangeError> {
        let row = self.row(name).await?;
        let run = row.canary.ok_or_else(|| ChangeError::Unknown(format!("{name} has no canary to promote")))?;
        self.end_canary_run(name, &run, Action { what: "promote", why: None }).await
    }

    /// Rolls back. Without `to` it ends the canary or, when there is none, returns to the version that served everybody before;
    /// with `to` it returns to the version whose hash begins with it. What is left that way is rejected: no later rollback
    /// returns to it, unless `to` names it.
    ///
    /// # Errors
    /// When there is no such version.
    pub async fn roll_back(&self, name: &str, to: Option<&str>) -> Result<Deployed, ChangeError> {
        let row = self.row(name).await?;
        let action = Action { what: "rollback", why: None };
        let target = match (to, &row.canary) {
            (None, Some(run)) => return self.end_canary_run(name, run, action).await,
            (None, None) => row.previous(),
            (Some(to), _) => row.versions.iter().find(|version| !to.is_empty() && version.sha256.starts_with(to)),
        };
        let Some(target) = target.cloned() else {
            let known: Vec<&str> = row.versions.iter().filter_map(|version| version.sha256.get(..12)).collect();
            let why = format!("{name} has no such version to go back to; the last ones are {}", known.join(", "));
            return Err(ChangeError::Unknown(why));
        };
        let loaded = self.fetch(name, &target.sha256).await?;
        self.change(name, action, Some(&loaded), |cluster, now| {
            self.fits(cluster, &loaded)?;
            if *now != row {
                return Err(ChangeError::Conflict(name.to_owned()));
            }
            let mut row = row.clone();
            row.return_to(&target.sha256);
            Ok(Plan { row, dropped: Vec::new() })
        })
        .await
    }

    /// Takes a component out of service. Its versions stay, for a rollback.
    ///
    /// # Errors
    /// When it is not in service.
    pub async fn remove(&self, name: &str) -> Result<Deployed, ChangeError> {
        self.change(name, Action { what: "remove", why: None }, None, |_, row| {
            if row.serving.is_none() {
                return Err(ChangeError::Unknown(format!("no component {name:?} is deployed")));
            }
            let mut row = row.clone();
            row.remove();
            Ok(Plan { row, dropped: Vec::new() })
        })
        .await
    }

    /// Promotes a canary or rolls it back; a conflict when the row has another canary run or none.
    async fn end_canary_run(&self, name: &str, run: &CanaryRun, action: Action<'_>) -> Result<Deployed, ChangeError> {
        let loaded = match action.what {
            "promote" => Some(self.fetch(name, &run.sha256).await?),
            _ => None,
        };
        self.change(name, action, loaded.as_ref(), |cluster, row| {
            if row.canary.as_ref().is_none_or(|now| now.id != run.id) {
                return Err(ChangeError::Conflict(name.to_owned()));
            }
            let mut row = row.clone();
            match &loaded {
                Some(loaded) => {
                    self.fits(cluster, loaded)?;
                    row.promote();
                }
                None => row.reject_canary(),
            }
            Ok(Plan { row, dropped: Vec::new() })
        })
        .await
    }

    /// Applies the rules of the canary runs that have one. A run that can't be ended now, such as one whose routes another
    /// component has meanwhile, is tried again; the others are judged all the same.
    pub(super) async fn judge(&self, rows: impl Iterator<Item = &ComponentRow>) {
        for (row, run) in rows.filter_map(|row| Some((row, row.canary.as_ref()?))) {
            let Some(rule) = run.rule else { continue };
            match self.judge_run(row, run, rule).await {
                // Another host ended it first.
                Ok(()) | Err(ChangeError::Conflict(_)) => {}
                Err(ChangeError::Store(error)) => {
                    tracing::debug!(component = row.name, %error, "a canary is judged when the documents answer")
                }
                Err(error) => {
                    if self.is_newly_stuck(run) {
                        let component = &row.name;
                        tracing::warn!(component, %error, "a canary's rule can't end its run; promote it or roll it back");
                    }
                }
            }
        }
    }

    async fn judge_run(&self, row: &ComponentRow, run: &CanaryRun, rule: Rule) -> Result<(), ChangeError> {
        let tally = self.tally(row, run).await?;
        let seconds = self.clock.now().saturating_sub(run.since) / 1_000;
        let what = match rule.judge(tally, seconds) {
            Verdict::Wait => return Ok(()),
            Verdict::Promote => "promote",
            Verdict::RollBack => "rollback",
        };
        let Tally { calls, failed } = tally;
        let why = format!("{failed} of {calls} calls failed in {seconds} s, at most {} % may", rule.max_errors);
        self.end_canary_run(&row.name, run, Action { what, why: Some(&why) }).await?;
        tracing::warn!(component = row.name, what, why, "a canary's rule has decided");
        Ok(())
    }

    /// How the calls of a canary ended on all hosts. Stores this host's current counts first.
    pub(super) async fn tally(&self, row: &ComponentRow, run: &CanaryRun) -> Result<Tally, ChangeError> {
        let canary = self.registry.served(&row.name).and_then(|served| served.version(&run.sha256).cloned());
        if let Some(version) = canary {
            let (calls, failed) = version.counts.judged();
            self.tallies.write(&row.name, &run.id, Tally { calls, failed }).await?;
        }
        Ok(self.tallies.read(&row.name, &run.id).await?)
    }

    pub(super) async fn row(&self, name: &str) -> Result<ComponentRow, ChangeError> {
        Ok(self.catch_up().await?.row(name))
    }

    /// The active versions of a row that may have files which pages ask for later. Of one that this host could not load it does
    /// not know.
    fn with_files(&self, row: &ComponentRow) -> Vec<String> {
        let served = self.registry.served(&row.name);
        let may_have = |sha256: &&str| {
            let version = served.as_ref().and_then(|served| served.version(sha256));
            version.is_none_or(|version| version.assets.as_ref().is_some_and(|assets| assets.has_hashed()))
        };
        row.active_hashes().filter(may_have).map(str::to_owned).collect()
    }

    /// Instantiates a component once, with every capability denied.
    async fn instantiate_once(&self, loaded: &Arc<Loaded>) -> Result<(), ChangeError> {
        let instantiated = self.registry.engine().try_out(loaded).await;
        let name = loaded.manifest.component.name.clone();
        Ok(instantiated.map_err(|failure| DeployError::Instance { name, why: failure.to_string() })?)
    }

    /// Decides and commits a change; decides it again when only other components changed meanwhile.
    async fn change(
        &self,
        name: &str,
        action: Action<'_>,
        loaded: Option<&Arc<Loaded>>,
        decide: impl Fn(&Cluster, &ComponentRow) -> Result<Plan, ChangeError>,
    ) -> Result<Deployed, ChangeError> {
        let mut first: Option<ComponentRow> = None;
        loop {
            let cluster = self.catch_up().await?;
            let row = cluster.row(name);
            if first.get_or_insert_with(|| row.clone()) != &row {
                return Err(ChangeError::Conflict(name.to_owned()));
            }
            let mut plan = decide(&cluster, &row)?;
            let now = self.clock.now();
            plan.row.retire(self.with_files(&row), now);
            plan.row.settle_retired(now);
            let before = row.serving.clone();
            if (&row.serving, &row.canary) == (&plan.row.serving, &plan.row.canary) {
                return Ok(Deployed { row: plan.row, before, changed: false, difference: Difference::default() });
            }
            let difference = loaded.map(|loaded| self.difference(&row, loaded)).unwrap_or_default();
            let commit = self.commit(&plan, action, &row, cluster.revision)?;
            match self.documents.commit(commit).await {
                Ok(_) => {
                    capability::abort::here("deploy-committed");
                    let ready = loaded.map(|loaded| (loaded.sha256.clone(), loaded.clone()));
                    self.catch_up_with(ready.into_iter().collect()).await?;
                    capability::abort::here("deploy-served");
                    self.notify_peers().await;
                    return Ok(Deployed { row: plan.row, before, changed: true, difference });
                }
                Err(Error::Unmet(0)) => {}
                Err(Error::Unmet(_)) => return Err(ChangeError::Conflict(name.to_owned())),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Notifies the other hosts of a change: at once, or as soon as the channel between them answers again.
    async fn notify_peers(&self) {
        let Some(peers) = self.peers.clone() else { return };
        if peers.publish(Channel::Deploys, b"").await.is_ok() {
            return;
        }
        tokio::spawn(async move {
            for _ in 0..NOTIFICATIONS {
                tokio::time::sleep(NOTIFICATION_PAUSE).await;
                if peers.publish(Channel::Deploys, b"").await.is_ok() {
                    return;
                }
            }
            tracing::debug!("the other hosts are not notified; they see the change at their next poll");
        });
    }

    fn commit(&self, plan: &Plan, action: Action<'_>, before: &ComponentRow, revision: i64) -> Result<Commit, Error> {
        let row = &plan.row;
        let canary = row.canary.as_ref().map(|run| run.sha256.clone());
        let entry = doc! {
            "_id": ObjectId::new(), (super::LOG_TIME): date(self.clock.now()), "component": &row.name,
            "what": action.what, "why": action.why,
            "from": before.serving.clone(), "to": row.serving.clone(), "canary": canary,
            "weight": row.canary.as_ref().map(|run| i32::from(run.weight)), "revision": revision + 1,
        };
        let document = RawDocumentBuf::try_from(&entry).map_err(|error| Error::Invalid(error.to_string()))?;
        let mut writes = vec![component_row::raise_head(revision)?];
        // Another host may have just deleted the file.
        for sha256 in row.active_hashes() {
            writes.push(Blobs::mark_named(sha256)?);
        }
        writes.push(row.write()?);
        writes.push(Write::Insert { collection: super::LOG.to_owned(), document });
        for version in &plan.dropped {
            writes.push(Blobs::delete(&version.sha256)?);
        }
        if before.canary.is_some() && row.canary.is_none() {
            writes.push(Tallies::delete(&row.name)?);
        }
        Ok(Commit { writes, events: Vec::new() })
    }
}
