//! Where this host gets versions from: the folder that it was started with, what it keeps itself, the documents.
//!
//! Whatever it comes from, a version is a file with the hash that the rows name, and it is compiled once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::kept::Kept;
use super::{Deployments, Refusal, Row, blocking};
use crate::engine::Loaded;
use crate::registry::{Bundle, DeployError, Registry};

/// A version that this host does not have ready.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Its component.
    pub(super) name: String,
    pub(super) sha256: String,
}

/// What is on this machine.
#[derive(Clone)]
struct Folders {
    registry: Arc<Registry>,
    kept: Option<Kept>,
    seeds: BTreeMap<String, Arc<Bundle>>,
}

impl Folders {
    /// Loads a version; none where there is no file of it. Blocks.
    fn load(&self, wanted: &Wanted) -> Option<Result<Arc<Loaded>, DeployError>> {
        let seed = self.seeds.get(&wanted.name).filter(|seed| seed.sha256 == wanted.sha256).cloned();
        let bundle = seed.or_else(|| self.kept.as_ref()?.bundle(&wanted.sha256).map(Arc::new))?;
        Some(self.registry.load(&bundle))
    }
}

impl Deployments {
    pub(super) async fn load_all(&self, bundles: Vec<Arc<Bundle>>) -> Result<Vec<Arc<Loaded>>, DeployError> {
        let registry = self.registry.clone();
        blocking(move || registry.load_all(&bundles)).await
    }

    /// Loads what the rows name and this host does not have, on all cores.
    pub(super) async fn fetch_lacking(
        &self,
        rows: &BTreeMap<String, Row>,
        ready: &BTreeMap<String, Arc<Loaded>>,
    ) -> Vec<(Wanted, Result<Arc<Loaded>, Refusal>)> {
        let mut lacking = Vec::new();
        for row in rows.values().filter(|row| row.serving.is_some()) {
            let served = self.registry.served(&row.name);
            let has = |sha256: &str| {
                ready.contains_key(sha256) || served.as_ref().is_some_and(|served| served.version(sha256).is_some())
            };
            let named = row.named().filter(|sha256| !has(sha256));
            lacking.extend(named.map(|sha256| Wanted { name: row.name.clone(), sha256: sha256.to_owned() }));
        }
        let (folders, wanted) = (self.folders(), lacking.clone());
        let found =
            blocking(move || Ok(wanted.into_par_iter().map(|wanted| folders.load(&wanted)).collect::<Vec<_>>()));
        let found = match found.await {
            Ok(found) => found,
            Err(error) => {
                let why = error.to_string();
                return lacking
                    .into_iter()
                    .map(|wanted| (wanted, Err(DeployError::Host(why.clone()).into())))
                    .collect();
            }
        };
        let fetched = lacking.into_iter().zip(found).map(async |(wanted, found)| {
            let loaded = match found {
                Some(loaded) => loaded.map_err(Refusal::from),
                None => self.fetch_from_documents(&wanted.sha256).await,
            };
            (wanted, loaded)
        });
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        futures_util::stream::iter(fetched).buffer_unordered(cores).collect().await
    }

    /// A version, ready to be called.
    pub(super) async fn fetch(&self, name: &str, sha256: &str) -> Result<Arc<Loaded>, Refusal> {
        if let Some(served) = self.registry.served(name).and_then(|served| served.version(sha256).cloned()) {
            return Ok(served);
        }
        let (folders, wanted) = (self.folders(), Wanted { name: name.to_owned(), sha256: sha256.to_owned() });
        match blocking(move || folders.load(&wanted).transpose()).await? {
            Some(loaded) => Ok(loaded),
            None => self.fetch_from_documents(sha256).await,
        }
    }

    async fn fetch_from_documents(&self, sha256: &str) -> Result<Arc<Loaded>, Refusal> {
        let wasm = self.blobs.get(sha256).await?;
        let wasm = wasm.ok_or_else(|| Refusal::Unknown(format!("the file of the version {sha256} is not there")))?;
        if let Some(kept) = &self.kept {
            kept.keep_file(sha256, &wasm);
        }
        let registry = self.registry.clone();
        Ok(blocking(move || registry.load(&Bundle::read("the component", wasm)?)).await?)
    }

    fn folders(&self) -> Folders {
        Folders { registry: self.registry.clone(), kept: self.kept.clone(), seeds: self.seeds().clone() }
    }

    /// Keeps what this host needs to start without the documents, where it does not have that yet. Who deploys does not wait
    /// for it: a host that dies before starts with what the documents say or, without them, with what it served before.
    pub(super) async fn keep_here(&self) {
        let Some(kept) = &self.kept else { return };
        let cluster = {
            let mut here = self.here.lock().await;
            if std::mem::replace(&mut here.kept, true) {
                return;
            }
            here.cluster.clone()
        };
        let rows = &cluster.rows;
        for named in rows.values().flat_map(Row::named).filter(|named| !kept.has(named)) {
            if let Ok(Some(wasm)) = self.blobs.get(named).await {
                kept.keep_file(named, &wasm);
            }
        }
        kept.keep_rows(&rows.values().collect::<Vec<_>>());
        let known = rows.values().flat_map(|row| &row.versions).map(|version| version.sha256.as_str());
        self.registry.engine().forget_code(&known.collect());
    }
}
