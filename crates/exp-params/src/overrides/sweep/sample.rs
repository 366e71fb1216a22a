//! Some of the combinations of a sweep, and each of them several times.

use std::collections::BTreeSet;

use exp_core::Value;

use super::{Axis, Overrides, Random};
use crate::overrides::parse::{Given, Groups, parse_change};
use crate::overrides::{Literal, OverrideError, ParamChange};

impl Overrides {
    /// Returns the number of combinations; the largest number there is when there are more.
    pub fn n_combinations(&self) -> u128 {
        let lengths = self.axes.iter().map(|axis| axis.alternatives.len() as u128);
        lengths.fold(1, u128::saturating_mul)
    }

    /// Returns `n` different combinations, drawn with equal chances, in the order of [`Overrides::expand`]; all of them
    /// when there are not more.
    ///
    /// The same changes, `n` and seed give the same combinations. Time and memory follow `n`, not the size of the grid.
    pub fn sample(&self, n: usize, seed: u64) -> Vec<Vec<ParamChange>> {
        let n_all = self.n_combinations();
        if n as u128 >= n_all {
            return self.expand(seed).collect();
        }
        let axes = self.ordered_axes(seed);
        let mut random = Random::new(seed);
        // Floyd's algorithm: each set of `n` numbers below `n_all` has the same chance.
        let mut drawn = BTreeSet::new();
        for most in n_all - n as u128..n_all {
            let number = random.wide() % (most + 1);
            if !drawn.insert(number) {
                drawn.insert(most);
            }
        }
        let combination = |mut number: u128| {
            let mut changes: Vec<ParamChange> = (axes.iter().rev())
                .map(|axis| {
                    let n_values = axis.len() as u128;
                    let at = usize::try_from(number % n_values).unwrap_or(0);
                    number /= n_values;
                    axis[at].clone()
                })
                .collect();
            changes.reverse();
            changes
        };
        drawn.into_iter().map(combination).collect()
    }

    /// Makes every combination `n` times, with 0, 1, … for the parameter `vary`, usually a seed: `seed`,
    /// `params.yaml:train.seed`. It varies fastest.
    ///
    /// # Errors
    ///
    /// When `vary` is no key, or one that has values already.
    pub fn repeated(mut self, n: usize, vary: &str) -> Result<Self, OverrideError> {
        let parsed = parse_change(&format!("{vary}=0"), Groups::Refused)?;
        let (Given::One(_), "") = (&parsed.given, parsed.sign.text()) else {
            let message = "the name of one parameter is expected".to_owned();
            return Err(OverrideError::Syntax { text: vary.to_owned(), offset: 0, message });
        };
        let is_it =
            |change: &ParamChange| change.file == parsed.file && *change.change.key() == parsed.key;
        if self.axes.iter().filter_map(|axis| axis.alternatives.first()).any(is_it) {
            return Err(OverrideError::Twice { key: vary.to_owned() });
        }
        let alternatives = (0..n)
            .map(|number| ParamChange {
                file: parsed.file.clone(),
                change: (parsed.sign)
                    .with(parsed.key.clone(), Some(Literal::from(Value::Int(number as i128)))),
            })
            .collect();
        self.axes.push(Axis { alternatives, is_sweep: true, is_shuffled: false });
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(combinations: &[Vec<ParamChange>]) -> Vec<String> {
        let one = |changes: &Vec<ParamChange>| {
            changes.iter().map(ParamChange::to_text).collect::<Vec<_>>().join(" ")
        };
        combinations.iter().map(one).collect()
    }

    #[test]
    fn a_sample_is_a_part_of_the_grid_in_its_order() {
        let grid = Overrides::parse(&["a=range(10)", "b=x,y,z", "c=1"]).unwrap();
        assert_eq!(grid.n_combinations(), 30);
        let all = told(&grid.expand(7).collect::<Vec<_>>());
        for n in [0, 1, 5, 29, 30, 31] {
            let sample = told(&grid.sample(n, 7));
            assert_eq!(sample.len(), n.min(30));
            let places: Vec<usize> = (sample.iter())
                .map(|one| all.iter().position(|known| known == one).unwrap())
                .collect();
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{n}: {sample:?}");
            assert_eq!(sample, told(&grid.sample(n, 7)), "the seed decides");
        }
        assert_ne!(told(&grid.sample(5, 7)), told(&grid.sample(5, 8)));
    }

    #[test]
    fn each_combination_has_the_same_chance() {
        let grid = Overrides::parse(&["a=range(6)"]).unwrap();
        let mut counts = [0_u32; 6];
        for seed in 0..3_000 {
            for combination in grid.sample(2, seed) {
                let Some(at) = told(&[combination])[0]
                    .strip_prefix("a=")
                    .and_then(|at| at.parse::<usize>().ok())
                else {
                    panic!("it is a number")
                };
                counts[at] += 1;
            }
        }
        // A thousand each; the deviation is 26.
        assert!(counts.iter().all(|count| (870..=1_130).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_grid_that_nobody_could_write_down_can_be_sampled() {
        let keys: Vec<String> = (0..12).map(|key| format!("k{key}=range(1000)")).collect();
        let grid = Overrides::parse(&keys).unwrap();
        assert_eq!(grid.n_combinations(), 10_u128.pow(36));
        assert_eq!(grid.sample(50, 1).len(), 50);
    }

    #[test]
    fn repetitions_differ_in_one_parameter_only() {
        let grid = Overrides::parse(&["lr=1,2"]).unwrap().repeated(3, "train.seed").unwrap();
        assert_eq!(
            told(&grid.expand(0).collect::<Vec<_>>()),
            [
                "lr=1 train.seed=0",
                "lr=1 train.seed=1",
                "lr=1 train.seed=2",
                "lr=2 train.seed=0",
                "lr=2 train.seed=1",
                "lr=2 train.seed=2",
            ]
        );
        let alone = Overrides::default().repeated(2, "other.yaml:seed").unwrap();
        assert!(alone.is_sweep());
        assert_eq!(
            told(&alone.expand(0).collect::<Vec<_>>()),
            ["other.yaml:seed=0", "other.yaml:seed=1"]
        );
        assert_eq!(Overrides::default().repeated(0, "seed").unwrap().expand(0).count(), 0);
    }

    #[test]
    fn what_cannot_be_varied_is_refused() {
        let overrides = || Overrides::parse(&["seed=1,2"]).unwrap();
        assert_eq!(
            overrides().repeated(2, "seed").unwrap_err(),
            OverrideError::Twice { key: "seed".to_owned() }
        );
        assert!(overrides().repeated(2, "p.yaml:seed").is_ok(), "of another file");
        for wrong in ["", "+seed", "~seed", "a=b", "a b"] {
            assert!(overrides().repeated(2, wrong).is_err(), "{wrong}");
        }
    }
}
