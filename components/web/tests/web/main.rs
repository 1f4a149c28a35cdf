//! The built page as the host serves it.

use harness::App;

#[test]
fn the_page_is_at_the_root_and_at_each_of_its_own_paths() {
    let app = App::with(&["web"]);
    let root = app.get("/").send();
    assert_eq!(root.status, 200);
    for path in ["/app", "/app/feed", "/app/chat/6560f0a1b2c3d4e5f6a7b8c9", "/app/settings/sessions"] {
        let page = app.get(path).send();
        assert_eq!((page.status, page.text()), (200, root.text()), "{path}");
    }
    for path in ["/application", "/app/missing.js", "/assets/missing-Ab12Cd34.js", "/package.json", "/src/main.tsx"] {
        assert_eq!(app.get(path).send().status, 404, "{path}");
    }
}

#[test]
fn everything_that_the_page_names_is_there_and_comes_from_here() {
    let app = App::with(&["web"]);
    let page = app.get("/").send();
    let text = page.text();
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let named: Vec<&str> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|name| text.split(name).skip(1).filter_map(|rest| rest.split('"').next()))
        .collect();
    assert!(
        named.iter().any(|path| path.ends_with(".js")) && named.iter().any(|path| path.ends_with(".css")),
        "{named:?}"
    );
    for path in named {
        assert!(path.starts_with('/') && !path.starts_with("//"), "{path} is of another host");
        assert_eq!(app.get(path).send().status, 200, "{path}");
    }
    assert!(!text.contains("<style") && !text.contains(" style="), "the policy forbids styles in the page");
}
