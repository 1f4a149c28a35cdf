//! Deploying again: what a host keeps for the next deploy and the next rollback, and what a refused deploy leaves behind.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use capability::documents::Filter;
use e2e::{Server, Site, Stack, network, stamp, stamp_of, stamped};
use manifest::Manifest;
use sha2::{Digest as _, Sha256};

use crate::deploy::with_manifest;

/// A component without anything.
const BARE: &[u8] = b"\0asm\x0d\0\x01\0";
/// A component with a module of a function whose type it does not have.
const INVALID: &[u8] = b"\0asm\x0d\0\x01\0\x01\x0c\0asm\x01\0\0\0\x03\x02\x01\x00";

/// A metric of a host, with its labels.
async fn metric(server: &Server, name: &str) -> u64 {
    let text = reqwest::get(format!("{}/metrics", server.admin)).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap().parse::<f64>().unwrap() as u64
}

/// Functions of components that were deployed: compiled, and reused.
async fn functions(server: &Server) -> [u64; 2] {
    [
        metric(server, r#"devconnect_compiled_functions_total{how="compiled"}"#).await,
        metric(server, r#"devconnect_compiled_functions_total{how="reused"}"#).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_component_compiles_what_changed() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    assert_eq!(functions(&server).await, [0, 0], "it began with compiled code");
    site.deploy(&server, 1, &[]);
    let [compiled, reused] = functions(&server).await;
    assert!(compiled > 100, "{compiled}");
    assert!(metric(&server, "devconnect_function_cache_bytes").await > 10_000);
    site.deploy(&server, 2, &[]);
    assert_eq!(stamp(&server.url).await, stamp_of(2));
    let [again, more] = functions(&server).await;
    // What changes a text moves others, so functions that refer to those change, too.
    assert!(more - reused > 2 * (again - compiled), "{compiled}, then {again} compiled; {more} reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_returns_to_a_version_that_is_ready_and_to_one_that_is_not() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    assert_eq!(metric(&server, "devconnect_spare_versions").await, 0);
    site.deploy(&server, 1, &[]);
    site.deploy(&server, 2, &[]);
    assert_eq!(metric(&server, "devconnect_spare_versions").await, 2);
    let bytes = metric(&server, "devconnect_spare_bytes").await;
    assert!((10_000..64 << 20).contains(&bytes), "{bytes}");
    let before = functions(&server).await;
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(1));
    assert_eq!(
        metric(&server, "devconnect_spare_versions").await,
        2,
        "the one that it left, instead of the one that serves"
    );
    // Back and forth, and the one that served as a spare is drained as any other.
    site.deploy(&server, 2, &[]);
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(1));
    assert_eq!(functions(&server).await, before, "nothing was compiled");
    // Versions that nobody can go back to are none.
    for number in 10..20 {
        site.deploy(&server, number, &[]);
    }
    assert_eq!(metric(&server, "devconnect_spare_versions").await, 5);
    assert!(tokio::task::block_in_place(|| server.interrupt()));
    let server = site.start("host").await;
    assert_eq!(metric(&server, "devconnect_spare_versions").await, 0);
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(18));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing_behind() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    let head = "[component]\nname = \"stamped\"\nversion = \"2.0.0\"\n";
    let route = "[[http]]\nmethod = \"GET\"\npath = \"/stamp\"\nsession = \"none\"\n";
    let other = head.replace("stamped", "other");
    let bare = Manifest::bundle(BARE.to_vec(), &format!("{head}{route}")).unwrap();
    let refused = [
        // Its grants are not accepted, it has the route of another, a handler is missing, it does not compile.
        with_manifest(&format!("{head}{route}[grants]\nmail = true\n")).unwrap(),
        with_manifest(&format!("{other}{route}")).unwrap(),
        with_manifest(&format!("{head}[presence]\n")).unwrap(),
        [INVALID, bare.get(BARE.len()..).unwrap()].concat(),
    ];
    for wasm in &refused {
        let asked = reqwest::Client::new().post(format!("{}/v1/components?accept-grants=false", server.admin));
        let answer = asked.bearer_auth(site.token()).body(wasm.clone()).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{}", answer.status());
    }
    // The same file, deployed by somebody else while it is refused, stays.
    let accepted = refused.first().unwrap();
    let asking = ["false", "true"].map(|accepts| {
        let asked = reqwest::Client::new().post(format!("{}/v1/components?accept-grants={accepts}", server.admin));
        tokio::spawn(asked.bearer_auth(site.token()).body(accepted.clone()).send())
    });
    let mut answers = Vec::new();
    for answer in asking {
        answers.push(answer.await.unwrap().unwrap().status().as_u16());
    }
    // It may have been accepted first.
    assert!(answers.first().is_some_and(|status| [200, 409].contains(status)), "{answers:?}");
    if answers.get(1) != Some(&200) {
        let file = site.file("accepted.wasm", accepted);
        site.well(&server, &["deploy", "--accept-grants", file.to_str().unwrap()]);
    }
    assert_eq!(stamp(&server.url).await, stamp_of(7));
    site.deploy(&server, 1, &["--accept-grants"]);
    assert!(tokio::task::block_in_place(|| server.interrupt()));

    let host = network::opened(&site.stack, "host").await;
    let chunks = async |wasm: &[u8]| {
        let sha256 = hex::encode(Sha256::digest(wasm));
        let filter = Filter::from_document(&bson::doc! { "sha256": &sha256 }).unwrap();
        (host.documents.count("host-blobs", filter, 0).await.unwrap(), sha256)
    };
    for (wasm, stays) in refused.iter().zip([true, false, false, false]) {
        let (count, sha256) = chunks(wasm).await;
        assert_eq!(count > 0, stays, "{sha256}");
        let compiled = std::fs::read_dir(site.stack.data("host").join("compiled")).unwrap();
        let names = compiled.map(|file| file.unwrap().file_name().into_string().unwrap());
        assert!(stays || !names.into_iter().any(|name| name.starts_with(&sha256)), "{sha256}");
    }
    assert!(chunks(&stamped(1)).await.0 > 0);
    host.close().await;
}
