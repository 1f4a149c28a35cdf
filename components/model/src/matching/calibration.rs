//! How much the formula and the pairs of skills are worth beside each other. Of each request it is counted what both had said
//! before it was answered, in a table of a few hundred cells; the weights of the two are fitted to that table by logistic
//! regression. Where members choose as the formula does, it keeps its weight; where they do not, the pairs get more.
//!
//! Without requests the score is the formula's, in the same order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::matching::pairs::Counts;

/// Cells of the formula's score, from 0 to 1.
const TOTALS: u32 = 20;
/// Cells of the lift of the pairs, from -[`MOST_LIFT`] to [`MOST_LIFT`]; what is beyond is in the last ones.
const LIFTS: u32 = 16;
const MOST_LIFT: f64 = 2.0;
/// The weights before anything is known: of the formula alone, and so that its scores stay about as they are.
const BEFORE: [f64; 3] = [-3.0, 6.0, 0.0];
/// How strongly these hold: the formula may be as right as it likes, the pairs have to show it.
const HOLD: [f64; 3] = [0.01, 0.01, 1.0];
/// Steps of the fit, which is done after five where members choose by chance and after fifty where they keep to a rule; and the
/// longest one.
const STEPS: u32 = 100;
const LONGEST_STEP: f64 = 4.0;
/// The most that a weight may be in a score: with more, many scores would be rounded to 0 or 1.
const STEEPEST: f64 = 6.0;

/// Where in the table a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    total: u32,
    lift: u32,
}

impl Cell {
    /// Of what both had said.
    pub fn of(total: f64, lift: f64) -> Self {
        let at = |share: f64, cells: u32| ((share * f64::from(cells)).max(0.0) as u32).min(cells - 1);
        Self { total: at(total, TOTALS), lift: at((lift + MOST_LIFT) / (2.0 * MOST_LIFT), LIFTS) }
    }

    /// By its number, from 0; none when there is no such cell.
    pub fn numbered(number: u32) -> Option<Self> {
        (number < TOTALS * LIFTS).then_some(Self { total: number / LIFTS, lift: number % LIFTS })
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.total * LIFTS + self.lift
    }

    /// The score and the lift in its middle.
    fn middle(self) -> (f64, f64) {
        let middle = |at: u32, cells: u32| (f64::from(at) + 0.5) / f64::from(cells);
        (middle(self.total, TOTALS), (middle(self.lift, LIFTS) * 2.0 - 1.0) * MOST_LIFT)
    }
}

/// The table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grid(pub BTreeMap<Cell, Counts>);

impl Grid {
    /// Adds a request of which this was said.
    pub fn add(&mut self, total: f64, lift: f64, accepted: bool, weight: f64) {
        self.0.entry(Cell::of(total, lift)).or_default().add(accepted, weight);
    }
}

/// The weights of the formula and of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    bias: f64,
    total: f64,
    lift: f64,
}

impl Calibration {
    /// The weights that fit a table best.
    pub fn fit(grid: &Grid) -> Self {
        let mut weights = BEFORE;
        for _ in 0..STEPS {
            let (gradient, curvature) = slope(grid, weights);
            let Some(step) = solve(curvature, gradient) else { break };
            let length = step.iter().fold(0.0_f64, |length, step| length.max(step.abs()));
            // Far from the best a whole step may be too long.
            let share = (LONGEST_STEP / length).min(1.0);
            weights.iter_mut().zip(step).for_each(|(weight, step)| *weight += step * share);
            if length < 1e-4 {
                break;
            }
        }
        // Neither speaks against itself: where one of them is worth nothing it says nothing.
        let [_, total, lift] = weights.map(|weight| weight.max(0.0));
        // What counts is how they stand to each other.
        let scale = (STEEPEST / total.max(lift)).min(1.0);
        let (total, lift, mean) = (total * scale, lift * scale, mean_total(grid));
        // On the formula's scale: who is as good as the average by both has the average score.
        Self { bias: (mean / (1.0 - mean)).ln() - total * mean, total, lift }
    }

    /// The score of both together, from 0 to 1 with four decimals.
    pub fn score(&self, total: f64, lift: f64) -> f64 {
        let lift = lift.clamp(-MOST_LIFT, MOST_LIFT);
        let score = 1.0 / (1.0 + (-(self.bias + self.total * total + self.lift * lift)).exp());
        (score * 10_000.0).round() / 10_000.0
    }
}

/// The mean of the formula's scores; what is usual where there are few.
fn mean_total(grid: &Grid) -> f64 {
    let (mut sum, mut count) = (0.4 * 20.0, 20.0);
    for (cell, counts) in &grid.0 {
        let weight = counts.accepted + counts.ignored;
        sum += cell.middle().0 * weight;
        count += weight;
    }
    sum / count
}

type Vector = [f64; 3];
type Matrix = [Vector; 3];

/// Where the likelihood of a table grows from these weights, and how fast it bends.
fn slope(grid: &Grid, weights: Vector) -> (Vector, Matrix) {
    let mut gradient: Vector = [0.0; 3];
    let mut curvature: Matrix = [[HOLD[0], 0.0, 0.0], [0.0, HOLD[1], 0.0], [0.0, 0.0, HOLD[2]]];
    for (((gradient, hold), weight), before) in gradient.iter_mut().zip(HOLD).zip(weights).zip(BEFORE) {
        *gradient = -hold * (weight - before);
    }
    for (cell, counts) in &grid.0 {
        let (total, lift) = cell.middle();
        let inputs = [1.0, total, lift];
        let sum: f64 = inputs.iter().zip(weights).map(|(input, weight)| input * weight).sum();
        let (expected, count) = (1.0 / (1.0 + (-sum).exp()), counts.accepted + counts.ignored);
        let (error, bend) = (counts.accepted - count * expected, count * expected * (1.0 - expected));
        for ((gradient, row), input) in gradient.iter_mut().zip(&mut curvature).zip(inputs) {
            *gradient += error * input;
            row.iter_mut().zip(inputs).for_each(|(entry, other)| *entry += bend * input * other);
        }
    }
    (gradient, curvature)
}

/// The solution of three equations by Cramer's rule; none when there is none.
fn solve(matrix: Matrix, right: Vector) -> Option<Vector> {
    let [[a, b, c], [d, e, f], [g, h, i]] = matrix;
    let [x, y, z] = right;
    let determinant =
        |[[a, b, c], [d, e, f], [g, h, i]]: Matrix| a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
    let whole = determinant(matrix);
    let solution =
        [[[x, b, c], [y, e, f], [z, h, i]], [[a, x, c], [d, y, f], [g, z, i]], [[a, b, x], [d, e, y], [g, h, z]]]
            .map(|matrix| determinant(matrix) / whole);
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of a thousand requests that were answered by this rule.
    fn grid(accepted: impl Fn(f64, f64) -> bool) -> Grid {
        let mut grid = Grid::default();
        for number in 0..1_000_u32 {
            let (total, lift) = (f64::from(number % 40) / 40.0, f64::from(number / 40) / 6.25 - 2.0);
            grid.add(total, lift, accepted(total, lift), 1.0);
        }
        grid
    }

    #[test]
    fn without_requests_the_order_is_that_of_the_formula() {
        let before = Calibration::fit(&Grid::default());
        let scores: Vec<f64> = (0..=20).map(|total| before.score(f64::from(total) / 20.0, 1.5)).collect();
        assert!(scores.is_sorted_by(|one, other| one < other), "{scores:?}");
        assert!((before.score(0.4, 0.0) - 0.4).abs() < 0.001);
        assert_eq!(before.score(0.6, -2.0), before.score(0.6, 2.0), "the pairs say nothing yet");
    }

    #[test]
    fn who_is_right_gets_the_weight() {
        let formula = Calibration::fit(&grid(|total, _| total > 0.5));
        assert!((formula.total - STEEPEST).abs() < 1e-9 && formula.total * 0.05 > formula.lift, "{formula:?}");
        let pairs = Calibration::fit(&grid(|_, lift| lift > 0.0));
        assert!(pairs.lift > 2.0 && pairs.lift > pairs.total, "{pairs:?}");
        let against = Calibration::fit(&grid(|total, lift| total < 0.5 && lift < 0.0));
        assert_eq!((against.total, against.lift), (0.0, 0.0));
    }

    #[test]
    fn scores_are_from_nothing_to_all() {
        for calibration in [Calibration::fit(&Grid::default()), Calibration::fit(&grid(|_, lift| lift > 1.0))] {
            for (total, lift) in [(0.0, -9.0), (1.0, 9.0), (0.5, 0.0), (1.0, -9.0), (0.0, 9.0)] {
                assert!((0.0..=1.0).contains(&calibration.score(total, lift)));
            }
        }
    }

    #[test]
    fn every_cell_has_a_number() {
        for number in 0..TOTALS * LIFTS {
            let cell = Cell::numbered(number).unwrap();
            let (total, lift) = cell.middle();
            assert_eq!((cell.number(), Cell::of(total, lift)), (number, cell));
        }
        assert_eq!(Cell::numbered(TOTALS * LIFTS), None);
        assert_eq!(Cell::of(1.0, 99.0).number(), TOTALS * LIFTS - 1);
        assert_eq!(Cell::of(-1.0, f64::NAN).number(), 0);
    }
}
