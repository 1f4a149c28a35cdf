//! Plots of a time by a size, as SVG: the size by its logarithm, so that what grows logarithmically is a straight line.

use std::fmt::Write as _;

/// The width and the height, and the room around the lines.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 180.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 40.0;
/// The lines' colours, one after the other.
const COLOURS: [&str; 6] = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"];

/// A line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Line {
    /// What it is of.
    pub(crate) name: String,
    /// Sizes of 1 and more, and the times at them, in the order of size.
    pub(crate) points: Vec<(f64, f64)>,
}

/// The plot of lines; the time begins at zero, so that flat looks flat.
pub(crate) fn svg(title: &str, size: &str, time: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let highest = points().map(|(_, time)| *time).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let smallest = points().map(|(size, _)| size.log10()).fold(f64::INFINITY, f64::min);
    let largest = points().map(|(size, _)| size.log10()).fold(f64::NEG_INFINITY, f64::max);
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let span = (largest - smallest).max(f64::MIN_POSITIVE);
    let x = |size: f64| LEFT + (size.log10() - smallest) / span * width;
    let y = |time: f64| TOP + height - time / highest * height;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n\
         <rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"#ccc\"/>\n\
         <text x=\"{LEFT}\" y=\"36\">{}</text>\n<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{highest:.1}</text>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">0</text>\n",
        escaped(title),
        escaped(time),
        LEFT - 6.0,
        TOP + 5.0,
        LEFT - 6.0,
        TOP + height + 4.0,
    );
    let mut marked: Vec<f64> = points().map(|(size, _)| *size).collect();
    marked.sort_by(f64::total_cmp);
    marked.dedup();
    // Writing to a string does not fail.
    for at in marked {
        let _ = writeln!(out, "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{at}</text>", x(at), HEIGHT - 24.0);
    }
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{:.0}\">{}</text>", HEIGHT - 6.0, escaped(size));
    for (number, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let places: Vec<String> =
            line.points.iter().map(|(size, time)| format!("{:.1},{:.1}", x(*size), y(*time))).collect();
        let _ = write!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" fill=\"{colour}\">{}</text>\n",
            places.join(" "),
            WIDTH - RIGHT + 10.0,
            TOP + 14.0 + 18.0 * number as f64,
            escaped(&line.name)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_steps_of_the_logarithm_are_equally_wide() {
        let line = Line { name: "a < b".to_owned(), points: vec![(100.0, 1.0), (1_000.0, 2.0), (10_000.0, 4.0)] };
        let plot = svg("users", "users", "ms", &[line]);
        assert!(plot.contains("points=\"90.0,251.0 435.0,182.0 780.0,44.0\""), "{plot}");
        assert!(plot.contains("a &lt; b") && plot.ends_with("</svg>\n"), "{plot}");
    }

    #[test]
    fn one_size_and_no_lines_are_plots_as_well() {
        let line = Line { name: "one".to_owned(), points: vec![(1.0, 1.0)] };
        assert!(!svg("one", "size", "ms", &[line]).contains("NaN"));
        assert!(svg("none", "size", "ms", &[]).ends_with("</svg>\n"));
    }
}
