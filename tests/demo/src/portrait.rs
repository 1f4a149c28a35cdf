//! The picture of somebody: a face out of a few shapes, drawn as SVG. Each has its own ground, so that it looks the
//! same on a light and on a dark page; nothing in it runs or is fetched. Touches nothing.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::chance::Chance;
use crate::people::Person;

/// Grounds: calm colours that white and black pages both leave alone.
const GROUNDS: [&str; 12] = [
    "#7fb7be", "#d9a5b3", "#a3b18a", "#e0b084", "#9fa8da", "#c3a6d8", "#8ecae6", "#f0c987", "#94c5a4", "#d6a18f",
    "#b5c7d3", "#cbb994",
];
/// Skin, from light to dark, and its shade for nose and neck.
const SKIN: [(&str, &str); 8] = [
    ("#f8dcc8", "#e8bda2"),
    ("#f3cdae", "#dfac88"),
    ("#e8b98f", "#cf9768"),
    ("#d9a274", "#bd8252"),
    ("#c1875a", "#a26b41"),
    ("#a36c43", "#84532f"),
    ("#80502f", "#643b20"),
    ("#5e3a22", "#472a17"),
];
const HAIR: [&str; 7] = ["#22191a", "#3a2a22", "#5b3b28", "#8a5a34", "#b98a4e", "#8f8b88", "#a44a2a"];
const CLOTHES: [&str; 8] = ["#3d5a80", "#6b4e71", "#2a6f63", "#9c4a3c", "#404a5c", "#b07d2b", "#58745a", "#7a3e57"];

/// Hair that is behind the head, and hair that is on it.
const STYLES: [(&str, &str); 8] = [
    // Short, parted.
    ("", "M27 45c-2-17 8-26 21-26s23 9 21 26c-3-8-9-12-17-13-11 0-20 3-25 13z"),
    // Cropped.
    ("", "M28 43c-1-15 7-22 20-22s21 7 20 22c-2-6-4-9-7-11-8-3-18-3-26 0-3 2-5 5-7 11z"),
    // A wave to one side.
    ("", "M27 47c-4-20 9-29 23-28 12 0 21 8 19 25-6-2-9-6-11-11-6 7-19 6-31 14z"),
    // Long.
    (
        "M26 44c0-16 9-25 22-25s22 9 22 25v27c0 3-6 5-10 5H36c-4 0-10-2-10-5z",
        "M28 44c0-14 8-22 20-22s20 8 20 22c-8-2-14-6-18-13-4 7-12 11-22 13z",
    ),
    // A bob.
    (
        "M25 45c0-17 9-26 23-26s23 9 23 26v14c0 4-8 5-11 5H36c-3 0-11-1-11-5z",
        "M28 46c0-16 8-24 20-24s20 8 20 24c-4-9-9-12-20-12s-16 3-20 12z",
    ),
    // A bun.
    ("M39 17a9 8 0 1 1 18 0a9 8 0 1 1-18 0z", "M28 44c-1-15 8-23 20-23s21 8 20 23c-4-8-11-12-20-12s-16 4-20 12z"),
    // Curls.
    (
        "M22 46a9 9 0 0 1 5-15a10 10 0 0 1 13-12a10 10 0 0 1 16 0a10 10 0 0 1 13 12a9 9 0 0 1 5 15a9 9 0 0 1-7 14H29a9 9 0 0 1-7-14z",
        "M29 42a8 8 0 0 1 8-14a9 9 0 0 1 15-3a9 9 0 0 1 14 5a8 8 0 0 1 1 12c-9-7-28-8-38 0z",
    ),
    // None.
    ("", ""),
];
/// Which of them women and men have, the more often the more.
const OF_WOMEN: [usize; 10] = [3, 3, 3, 4, 4, 5, 5, 6, 6, 1];
const OF_MEN: [usize; 10] = [0, 0, 0, 1, 1, 2, 2, 6, 7, 3];
/// Mouths.
const MOUTHS: [&str; 4] = ["M41 60q7 6 14 0", "M42 60q6 4 12 0", "M41 59q7 8 14 0z", "M43 61q6 2 11-1"];

/// The picture of the person with this number.
pub(crate) fn draw(number: usize, person: &Person) -> String {
    let mut chance = Chance::of("portrait", number);
    let (ground, clothes) = (chance.pick(&GROUNDS), chance.pick(&CLOTHES));
    let (from, to) = person.looks.tones;
    let (skin, shade) = SKIN.get(from + chance.below(to.saturating_sub(from) + 1)).copied().unwrap_or_default();
    let is_old = person.age.is_some_and(|age| age > 52);
    // Those whose skin is darker have dark hair, unless it is grey.
    let colours = if from >= 3 { HAIR.get(..2).unwrap_or_default() } else { &HAIR };
    let hair = if is_old { "#8f8b88" } else { chance.pick(colours) };
    let style = chance.pick(if person.looks.woman { &OF_WOMEN } else { &OF_MEN });
    let (behind, front) = STYLES.get(style).copied().unwrap_or_default();
    let (width, height) = (19 + chance.below(3), 23 + chance.below(3));
    let (apart, brow) = (8 + chance.below(2), 38 + chance.below(2));
    let mouth = chance.pick(&MOUTHS);
    let [beard, glasses, earrings, collar] = [25, 30, 35, 50].map(|percent| chance.percent(percent));
    let spot = (chance.below(97), chance.below(60), 14 + chance.below(20));

    let mut svg = String::with_capacity(1_600);
    svg.push_str(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" width="192" height="192">"#);
    let mut add = |shape: std::fmt::Arguments<'_>| {
        // Text can always be added to text.
        let _ = svg.write_fmt(shape);
    };
    add(format_args!(r#"<path fill="{ground}" d="M0 0h96v96H0z"/>"#));
    add(format_args!(r##"<circle cx="{}" cy="{}" r="{}" fill="#fff" fill-opacity=".18"/>"##, spot.0, spot.1, spot.2));
    if !behind.is_empty() {
        add(format_args!(r#"<path fill="{hair}" d="{behind}"/>"#));
    }
    add(format_args!(r#"<path fill="{shade}" d="M41 60h14v14c0 8-14 8-14 0z"/>"#));
    add(format_args!(r#"<path fill="{clothes}" d="M14 96c0-17 14-24 27-25q7 7 14 0c13 1 27 8 27 25z"/>"#));
    if collar {
        add(format_args!(
            r##"<path fill="none" stroke="#fff" stroke-opacity=".5" stroke-width="2" d="M40 72q8 9 16 0"/>"##
        ));
    }
    add(format_args!(r#"<ellipse cx="48" cy="47" rx="{width}" ry="{height}" fill="{skin}"/>"#));
    if beard && !person.looks.woman {
        add(format_args!(
            r#"<path fill="{hair}" d="M30 52c0 14 8 21 18 21s18-7 18-21c-3 4-8 3-11 3H41c-3 0-8 1-11-3z"/>"#
        ));
    }
    if !front.is_empty() {
        add(format_args!(r#"<path fill="{hair}" d="{front}"/>"#));
    }
    let (left, right) = (48 - apart, 48 + apart);
    add(format_args!(
        r##"<g fill="#241a17"><circle cx="{left}" cy="46" r="2.2"/><circle cx="{right}" cy="46" r="2.2"/></g>"##
    ));
    add(format_args!(
        r##"<path fill="none" stroke="{}" stroke-width="1.8" stroke-linecap="round" d="M{} {brow}q4-2 8 0m{} 0q4-2 8 0"/>"##,
        if is_old { "#77716d" } else { "#2b201c" },
        left - 4,
        right - left - 8
    ));
    add(format_args!(
        r#"<path fill="none" stroke="{shade}" stroke-width="1.8" stroke-linecap="round" d="M48 47l-2 7h3"/>"#
    ));
    let fill = if mouth.ends_with('z') { "#fff" } else { "none" };
    add(format_args!(
        r##"<path fill="{fill}" stroke="#8c3b32" stroke-width="1.8" stroke-linecap="round" d="{mouth}"/>"##
    ));
    if glasses {
        add(format_args!(
            r##"<g fill="none" stroke="#2d2a32" stroke-width="1.5"><circle cx="{left}" cy="46" r="6"/><circle cx="{right}" cy="46" r="6"/><path d="M{} 45h{}"/></g>"##,
            left + 6,
            right - left - 12
        ));
    }
    if earrings && person.looks.woman && behind.is_empty() {
        add(format_args!(
            r##"<g fill="#e9c46a"><circle cx="28" cy="55" r="1.8"/><circle cx="68" cy="55" r="1.8"/></g>"##
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The name of the file with a picture: with a hash of it, so that a browser may keep it for ever.
pub(crate) fn file_name(person: &Person, svg: &str) -> String {
    let name = person.email.split('@').next().unwrap_or_default().replace('.', "-");
    let hash = hex::encode(Sha256::digest(svg));
    format!("{name}-{}.svg", hash.get(..24).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::people::people;

    fn all() -> Vec<(Person, String)> {
        let drawn = people(200).into_iter().enumerate();
        drawn.map(|(number, person)| (person.clone(), draw(number, &person))).collect()
    }

    /// The tags in their order. Panics at what is no XML of this kind.
    fn tags(svg: &str) -> Vec<String> {
        let (mut open, mut found, mut rest) = (Vec::new(), Vec::new(), svg.trim_end());
        while let Some(tag) = rest.strip_prefix('<') {
            let (tag, after) = tag.split_once('>').expect("a tag has an end");
            rest = after;
            assert!(!tag.contains('<') && tag.matches('"').count() % 2 == 0, "{tag}");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
            if tag.starts_with('/') {
                assert_eq!(open.pop().as_ref(), Some(&name), "{svg}");
            } else {
                if !tag.ends_with('/') {
                    open.push(name.clone());
                }
                found.push(name);
            }
        }
        assert!(rest.is_empty() && open.is_empty(), "{svg}");
        found
    }

    #[test]
    fn a_picture_is_small_and_nothing_in_it_runs() {
        for (person, svg) in all() {
            assert!(svg.len() < 2_048, "{} bytes: {svg}", svg.len());
            let known = ["svg", "path", "circle", "ellipse", "g"];
            assert!(tags(&svg).iter().all(|tag| known.contains(&tag.as_str())), "{svg}");
            for never in ["script", "href", "style", "url(", " on", "&", "NaN", "\"\""] {
                assert!(!svg.contains(never), "{never}: {svg}");
            }
            let name = file_name(&person, &svg);
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
            );
            let hash = name.strip_suffix(".svg").and_then(|name| name.rsplit('-').next()).unwrap();
            let [letters, digits] =
                [u8::is_ascii_alphabetic, u8::is_ascii_digit].map(|kind| hash.as_bytes().iter().any(kind));
            assert!(hash.len() == 24 && letters && digits, "the host takes {name} for one without a hash");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        let all = all();
        let different: BTreeSet<&String> = all.iter().map(|(_, svg)| svg).collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all, self::all());
    }
}
