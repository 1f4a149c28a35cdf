//! Patterns: names with `*`, as grants have them. Decides whether a pattern covers a name, includes another pattern, or has a
//! name in common with one. Touches nothing.

use std::collections::BTreeSet;

/// Refuses a pattern that no name of up to `longest` bytes fits, or that can't be read as it is.
///
/// # Errors
/// What a pattern takes.
pub fn check(pattern: &str, longest: usize) -> Result<(), String> {
    if (1..=longest).contains(&pattern.len()) && pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("the pattern {pattern:?} takes 1 to {longest} printable ASCII characters without spaces"))
}

/// Whether a pattern covers a name: both have the same number of `:`, and each segment matches.
///
/// `*` stands for one or more characters other than `:`, so that a pattern says exactly what it covers: `user:*` is not
/// `user:1:last_seen`. In a pattern no `*` stands for itself.
pub fn covers(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(head) else { return false };
    // Most patterns end with their only `*`.
    if tail.is_empty() {
        return !rest.is_empty() && !rest.contains(':');
    }
    let mut patterns = pattern.split(':');
    let mut segments = name.split(':');
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
            _ => return false,
        }
    }
}

/// Whether a pattern covers every name that the other one covers.
pub fn includes(pattern: &str, other: &str) -> bool {
    // No pattern has a `*` that stands for itself, so as a name the other pattern has a character there that only a `*` of
    // this one can cover; and what covers that character covers whatever else is in its place.
    covers(pattern, other)
}

/// Whether there is a name that both patterns cover.
pub fn intersect(one: &str, other: &str) -> bool {
    meet(&steps(one), &steps(other))
}

/// Whether a pattern covers a name that begins with `prefix`.
pub fn reaches(pattern: &str, prefix: &str) -> bool {
    let names: Vec<Step> = prefix.chars().map(Step::Is).chain([Step::Rest]).collect();
    meet(&steps(pattern), &names)
}

fn segment_matches(pattern: &str, segment: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == segment,
        Some((head, tail)) => segment.strip_prefix(head).is_some_and(|rest| matches_after_star(tail, rest)),
    }
}

/// Whether `rest` is one or more characters, and then what `tail` matches. Text between two `*` is taken where it comes first:
/// that leaves the most for what follows.
fn matches_after_star(tail: &str, rest: &str) -> bool {
    let mut rest = rest.chars();
    if rest.next().is_none() {
        return false;
    }
    let rest = rest.as_str();
    match tail.split_once('*') {
        None => rest.ends_with(tail),
        Some((text, tail)) => rest.split_once(text).is_some_and(|(_, rest)| matches_after_star(tail, rest)),
    }
}

/// What the next character of a name may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// This one.
    Is(char),
    /// Any but `:`, once.
    One,
    /// Any but `:`, any number of times.
    More,
    /// Any, any number of times.
    Rest,
}

impl Step {
    fn repeats(self) -> bool {
        matches!(self, Step::More | Step::Rest)
    }

    /// Whether there is a character that both allow.
    fn shares(self, other: Self) -> bool {
        match (self, other) {
            (Step::Is(one), Step::Is(other)) => one == other,
            (Step::Is(one), Step::One | Step::More) | (Step::One | Step::More, Step::Is(one)) => one != ':',
            _ => true,
        }
    }
}

fn steps(pattern: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for character in pattern.chars() {
        match character {
            '*' => steps.extend([Step::One, Step::More]),
            other => steps.push(Step::Is(other)),
        }
    }
    steps
}

/// Whether some name takes both to their ends. Walks all pairs of places that one beginning of a name can lead to.
fn meet(one: &[Step], other: &[Step]) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![(0, 0)]);
    while let Some((at, beside)) = open.pop() {
        if !seen.insert((at, beside)) {
            continue;
        }
        let (step, against) = (one.get(at).copied(), other.get(beside).copied());
        if step.is_none() && against.is_none() {
            return true;
        }
        // What repeats may end here.
        if step.is_some_and(Step::repeats) {
            open.push((at + 1, beside));
        }
        if against.is_some_and(Step::repeats) {
            open.push((at, beside + 1));
        }
        if let (Some(step), Some(against)) = (step, against)
            && step.shares(against)
        {
            open.push((at + usize::from(!step.repeats()), beside + usize::from(!against.repeats())));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_exactly_what_it_says() {
        assert!(covers("user:*", "user:1"));
        assert!(!covers("user:*", "user:1:last_seen"));
        assert!(!covers("user:*", "user:"));
        assert!(covers("user:*:last_seen", "user:1:last_seen"));
        assert!(!covers("user:*:last_seen", "user:1:last_login"));
        assert!(covers("rate_*:x", "rate_limit:x"));
        assert!(!covers("session:*", "user:1"));
        assert!(covers("a*b*c", "axbbxc") && !covers("a*b*c", "abxc") && !covers("a**", "ab"));
    }

    #[test]
    fn a_slice_of_a_pattern_intersects_it() {
        for slice in ["session:*", "session:0*", "session:*f", "session:a*b*c", "session:ab", "*:*", "s*:*", "*n:0*"] {
            assert!(intersect(slice, "session:*") && intersect("session:*", slice), "{slice}");
        }
        for other in ["session:", "session:*:x", "*", "session*", "sessions:*", "session:0*:*", "ession:*", ""] {
            assert!(!intersect(other, "session:*") && !intersect("session:*", other), "{other}");
        }
        assert!(intersect("a*:*z", "*b:y*") && !intersect("a*b", "ab") && !intersect("*ab", "ba*c"));
    }

    #[test]
    fn a_prefix_is_reached_by_what_covers_a_name_behind_it() {
        for pattern in ["presence:*", "presence:1", "*:*", "*:*:*", "p*:a:b:c", "presence:"] {
            assert!(reaches(pattern, "presence:"), "{pattern}");
        }
        for pattern in ["presence", "presences", "*", "presence*", "xpresence:*", ""] {
            assert!(!reaches(pattern, "presence:"), "{pattern}");
        }
    }

    #[test]
    fn what_can_not_be_read_as_it_is_is_no_pattern() {
        assert_eq!(check("user:*", 6), Ok(()));
        for pattern in ["", "a b", "a\0", "a\nb", "us\u{435}r:*", "\u{202e}a", "abcdefg"] {
            assert!(check(pattern, 6).unwrap_err().contains("printable ASCII"), "{pattern:?}");
        }
    }

    /// What a pattern means, word for word.
    fn means(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', tail)), Some((first, rest))) => *first != ':' && (means(tail, rest) || means(pattern, rest)),
            (Some((wanted, tail)), Some((first, rest))) => wanted == first && means(tail, rest),
            _ => false,
        }
    }

    /// All names of up to so many of these characters.
    fn names(characters: &[char], longest: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = 0;
        for _ in 0..longest {
            let begun = all.len();
            for at in last..begun {
                all.extend(characters.iter().map(|character| format!("{}{character}", all[at])).collect::<Vec<_>>());
            }
            last = begun;
        }
        all
    }

    mod fuzz {
        use super::*;

        proptest::proptest! {
            #![proptest_config(fuzzing::cheap(8))]

            #[test]
            fn covering_is_what_a_pattern_means(pattern in "[ab:*]{0,6}", name in "[ab:]{0,9}") {
                let (letters, of_name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
                proptest::prop_assert_eq!(covers(&pattern, &name), means(&letters, &of_name));
            }
        }

        proptest::proptest! {
            #![proptest_config(fuzzing::config())]

            // A shortest common name has at most one character for each of both patterns.
            #[test]
            fn patterns_intersect_when_a_short_name_is_covered_by_both(one in "[ab:*]{0,4}", other in "[ab:*]{0,4}") {
                let both = names(&['a', 'b', ':'], 8).iter().any(|name| covers(&one, name) && covers(&other, name));
                proptest::prop_assert_eq!(intersect(&one, &other), both, "{} and {}", one, other);
            }

            #[test]
            fn a_prefix_is_reached_when_a_short_name_is_covered(pattern in "[ab:*]{0,4}", prefix in "[ab:]{0,3}") {
                let names = names(&['a', 'b', ':'], 7);
                let reached = names.iter().any(|name| name.starts_with(&prefix) && covers(&pattern, name));
                proptest::prop_assert_eq!(reaches(&pattern, &prefix), reached, "{} and {}", pattern, prefix);
            }

            // No pattern here has a `c`: only a `*` covers it.
            #[test]
            fn a_pattern_includes_one_whose_names_it_covers(one in "[ab:*]{0,4}", other in "[ab:*]{0,4}") {
                let names = names(&['a', 'b', 'c', ':'], 5);
                let all = names.iter().all(|name| covers(&one, name) || !covers(&other, name));
                proptest::prop_assert_eq!(includes(&one, &other), all, "{} and {}", one, other);
            }
        }
    }
}
