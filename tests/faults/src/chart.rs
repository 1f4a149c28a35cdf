//! Charts of what was measured over time, as SVG: a panel a series, one below the other.

use std::fmt::Write as _;

/// The width and the height of a panel, and the room around its line.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 22.0;
const RIGHT: f64 = 16.0;
/// More points than this show no more.
const POINTS: usize = 1_200;

/// What was measured, and when: seconds from the beginning, and the value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// What it is, with its unit.
    pub name: String,
    /// In the order of time.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// The median of the values in this part of the time; both ends are shares of all of it. None without any.
    pub fn median(&self, from: f64, until: f64) -> Option<f64> {
        let end = self.points.last()?.0;
        let within = self.points.iter().filter(|(at, _)| (from * end..=until * end).contains(at));
        let mut values: Vec<f64> = within.map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    fn highest(&self) -> f64 {
        self.points.iter().map(|(_, value)| *value).fold(0.0, f64::max)
    }
}

/// The chart of these series; each axis begins at zero, so that flat looks flat.
pub fn svg(title: &str, series: &[Series]) -> String {
    let height = TOP + HEIGHT * series.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    for (number, series) in series.iter().enumerate() {
        panel(&mut out, TOP + HEIGHT * number as f64, series);
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, top: f64, series: &Series) {
    let (end, highest) = (series.points.last().map_or(1.0, |(at, _)| at.max(1.0)), series.highest().max(1.0));
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - 20.0);
    let (x, y) = (|at: f64| LEFT + at / end * width, |value: f64| top + 20.0 + height - value / highest * height);
    let every = series.points.len().div_ceil(POINTS).max(1);
    let mut line = String::new();
    for (at, value) in series.points.iter().step_by(every) {
        // Writing to a string does not fail.
        let _ = write!(line, "{:.1},{:.1} ", x(*at), y(*value));
    }
    let _ = write!(
        out,
        "<text x=\"{LEFT}\" y=\"{:.0}\">{}</text>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{highest:.0}</text>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">0</text>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{:.0} min</text>\n\
         <rect x=\"{LEFT}\" y=\"{:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" fill=\"none\" stroke=\"#ccc\"/>\n\
         <polyline fill=\"none\" stroke=\"#1f6feb\" points=\"{}\"/>\n",
        top + 14.0,
        escaped(&series.name),
        LEFT - 6.0,
        y(highest) + 5.0,
        LEFT - 6.0,
        y(0.0),
        WIDTH - RIGHT,
        y(0.0) + 16.0,
        end / 60.0,
        y(highest),
        line.trim_end()
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
