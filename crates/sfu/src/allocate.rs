//! Which layer of each video a viewer gets when its connection cannot carry all of them.
//!
//! Pure: costs and a budget go in, ranks come out. Sound is not part of it; what it takes is taken off the budget
//! before, so it always comes first.

/// How much more room than its cost a layer needs before a viewer is moved up to it, in percent. Without it a viewer
/// at the edge would go up and down all the time.
const HEADROOM: u64 = 15;

/// One video that a viewer wants.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Bits per second by rank, lowest first, up to the one wanted; `None`: it does not flow.
    pub(crate) costs: Vec<Option<u64>>,
    /// The highest rank it may have now; `None`: it is paused.
    pub(crate) held: Option<usize>,
    /// `UpdateTrackSettings.priority`: the higher is served first.
    pub(crate) priority: u32,
    /// Pixels of the layer wanted: among equals the largest picture is served first.
    pub(crate) pixels: u64,
}

impl Wish {
    /// What a rank takes of the budget: more than its cost if it would be a step up.
    fn price(&self, rank: usize) -> Option<u64> {
        let cost = self.costs[rank]?;
        let held = self.held.is_some_and(|held| rank <= held);
        Some(if held { cost } else { cost + cost * HEADROOM / 100 })
    }

    /// The next rank above another that flows.
    fn above(&self, rank: Option<usize>) -> Option<usize> {
        let from = rank.map_or(0, |rank| rank + 1);
        (from..self.costs.len()).find(|rank| self.costs[*rank].is_some())
    }
}

/// Shares a budget in bits per second: first everybody's lowest layer, then step by step what is wanted. The answer
/// has a rank for each wish, in their order; `None`: it has to pause.
pub(crate) fn share(budget: u64, wishes: &[Wish]) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by_key(|index| {
        let wish = &wishes[*index];
        std::cmp::Reverse((wish.priority, wish.pixels))
    });
    let mut granted: Vec<Option<usize>> = vec![None; wishes.len()];
    let mut left = budget;
    loop {
        let mut changed = false;
        for &index in &order {
            let wish = &wishes[index];
            let Some(next) = wish.above(granted[index]) else { continue };
            let have = granted[index].and_then(|rank| wish.price(rank)).unwrap_or(0);
            let Some(more) = wish.price(next).map(|price| price.saturating_sub(have)) else { continue };
            if more <= left {
                left -= more;
                granted[index] = Some(next);
                changed = true;
            }
        }
        if !changed {
            return granted;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(costs: &[u64], held: Option<usize>) -> Wish {
        Wish { costs: costs.iter().map(|cost| Some(*cost)).collect(), held, priority: 0, pixels: 0 }
    }

    const CAMERA: [u64; 3] = [150, 500, 1700];

    #[test]
    fn a_budget_buys_the_best_layer_that_fits() {
        for (budget, layer) in [(100, None), (300, Some(0)), (600, Some(1)), (1800, Some(1)), (2000, Some(2))] {
            assert_eq!(share(budget, &[wish(&CAMERA, None)]), [layer], "with {budget}");
        }
    }

    #[test]
    fn what_is_held_needs_no_headroom() {
        assert_eq!(share(1750, &[wish(&CAMERA, Some(2))]), [Some(2)]);
        assert_eq!(share(1750, &[wish(&CAMERA, Some(1))]), [Some(1)]);
    }

    #[test]
    fn everybody_is_seen_before_anybody_is_seen_well() {
        assert_eq!(share(700, &[wish(&CAMERA, None), wish(&CAMERA, None), wish(&CAMERA, None)]), [Some(0); 3]);
        let two = share(1200, &[wish(&CAMERA, None), wish(&CAMERA, None)]);
        assert_eq!(two, [Some(1), Some(1)]);
    }

    #[test]
    fn priority_and_then_size_decide() {
        let small = Wish { pixels: 10, ..wish(&[400], None) };
        let large = Wish { pixels: 90, ..wish(&[400], None) };
        assert_eq!(share(500, &[small.clone(), large.clone()]), [None, Some(0)]);
        let small = Wish { priority: 1, ..small };
        assert_eq!(share(500, &[small, large]), [Some(0), None]);
    }

    #[test]
    fn layers_that_do_not_flow_are_stepped_over() {
        let mut camera = wish(&CAMERA, None);
        camera.costs[1] = None;
        assert_eq!(share(1000, std::slice::from_ref(&camera)), [Some(0)]);
        assert_eq!(share(3000, &[camera]), [Some(2)]);
    }

    proptest! {
        #[test]
        fn no_budget_is_overdrawn_and_nothing_that_fits_is_left(
            budget in 0u64..5_000,
            costs in prop::collection::vec((1u64..800, 1u64..800, 1u64..2_000), 1..6),
        ) {
            let wishes: Vec<Wish> = costs.iter().map(|(a, b, c)| wish(&[*a, a + b, a + b + c], None)).collect();
            let shared = share(budget, &wishes);
            let spent: u64 = shared.iter().zip(&wishes).filter_map(|(rank, wish)| wish.costs[(*rank)?]).sum();
            prop_assert!(spent <= budget);
            for (rank, wish) in shared.iter().zip(&wishes) {
                let paused_though_cheap = rank.is_none() && wish.price(0).is_some_and(|price| price + spent * 2 <= budget);
                prop_assert!(!paused_though_cheap);
            }
        }
    }
}
