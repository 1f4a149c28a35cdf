//! Circles in what uses what.

use std::collections::{BTreeMap, BTreeSet};

/// Names, and what each of them uses.
pub(super) type Graph = BTreeMap<String, BTreeSet<String>>;

/// All circles that it takes to say what is wrong: each is found without the last step of those before. A circle ends with
/// the name that it begins with.
pub(super) fn all(mut graph: Graph) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    while let Some(circle) = first(&graph) {
        if let [.., from, to] = circle.as_slice()
            && let Some(used) = graph.get_mut(from)
        {
            used.remove(to);
        }
        found.push(circle);
    }
    found
}

fn first(graph: &Graph) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    graph.keys().find_map(|name| walk(graph, name, &mut Vec::new(), &mut done))
}

/// From `name` on, which was come to along `path`.
fn walk<'a>(
    graph: &'a Graph,
    name: &'a str,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|known| *known == name) {
        let circle = path.iter().skip(start).copied().chain([name]);
        return Some(circle.map(str::to_owned).collect());
    }
    if !done.insert(name) {
        return None;
    }
    path.push(name);
    let used = graph.get(name).into_iter().flatten();
    let found = used.map(String::as_str).find_map(|next| walk(graph, next, path, done));
    path.pop();
    found
}

/// For tests: a graph of these, and of all that they use.
#[cfg(test)]
pub(super) fn graph(edges: &[(&str, &[&str])]) -> Graph {
    let mut graph = Graph::new();
    for (name, used) in edges {
        for other in *used {
            graph.entry((*other).to_owned()).or_default();
        }
        graph.entry((*name).to_owned()).or_default().extend(used.iter().map(|other| (*other).to_owned()));
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(edges: &[(&str, &[&str])]) -> Vec<String> {
        all(graph(edges)).iter().map(|circle| circle.join(" ")).collect()
    }

    #[test]
    fn what_goes_upwards_only_has_no_circle() {
        assert!(shown(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"])]).is_empty());
    }

    #[test]
    fn each_circle_is_found() {
        assert_eq!(shown(&[("a", &["b"]), ("b", &["a"])]), ["a b a"]);
        assert_eq!(shown(&[("a", &["b"]), ("b", &["c"]), ("c", &["d"]), ("d", &["b"])]), ["b c d b"]);
        assert_eq!(shown(&[("a", &["b", "c"]), ("b", &["a"]), ("c", &["a"])]), ["a b a", "a c a"]);
        assert_eq!(shown(&[("a", &["b"]), ("b", &["c"]), ("x", &["y"]), ("y", &["x"])]), ["x y x"]);
    }
}
