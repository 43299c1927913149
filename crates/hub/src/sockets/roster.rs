//! Who of a topic is still to be sent the newest state. Pure.
//!
//! The members are a ring. From the cursor on, the next `left` of them have not
//! had their turn in this round; all others have. A new round keeps the cursor,
//! so that whoever comes last in one round comes first in the next and nobody
//! starves, however often the state changes.

/// A member: the key of a connection.
pub(crate) type Key = u32;

/// A member that now has another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Who.
    pub(crate) key: Key,
    /// Its place from now on.
    pub(crate) place: u32,
}

/// The members of a topic and how far the round has come.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    members: Vec<Key>,
    /// Place of whoever is next.
    cursor: usize,
    /// Members from the cursor on, round the ring, who have not had their turn.
    left: usize,
}

impl Roster {
    /// Adds a member who needs no turn in this round. Returns its place.
    pub(crate) fn add(&mut self, key: Key) -> u32 {
        if self.cursor + self.left > self.members.len() {
            // Its place lies in the middle of those who wait: it has a turn too many.
            self.left += 1;
        }
        self.members.push(key);
        as_place(self.members.len() - 1)
    }

    /// Takes out who is at `place`. Others may be moved, which must be told to them.
    /// Whoever waited for a turn still does.
    pub(crate) fn remove(&mut self, place: u32) -> [Option<Moved>; 2] {
        let place = place as usize;
        let last = self.members.len() - 1;
        let (had_turn, last_waits) = (!self.waits(place), self.waits(last));
        let moved = if had_turn && last_waits {
            // The last one waits and must not end up among those who do not: whoever
            // had a turn just before the cursor fills the gap, and the last one his place.
            self.cursor -= 1;
            let before = self.cursor;
            [self.put(before, place), self.put(last, before)]
        } else {
            self.left -= usize::from(last_waits);
            [self.put(last, place), None]
        };
        self.members.pop();
        if self.cursor >= self.members.len() {
            self.cursor = 0;
        }
        self.left = self.left.min(self.members.len());
        moved
    }

    /// Begins a round: everybody gets a turn.
    pub(crate) fn restart(&mut self) {
        self.left = self.members.len();
    }

    /// Who is next; `None` when the round is over.
    pub(crate) fn next(&mut self) -> Option<Key> {
        self.left = self.left.checked_sub(1)?;
        let key = self.members[self.cursor];
        self.cursor = (self.cursor + 1) % self.members.len();
        Some(key)
    }

    /// Whether there are no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn waits(&self, place: usize) -> bool {
        let count = self.members.len();
        (place + count - self.cursor) % count < self.left
    }

    /// Copies the member at `from` to the place `to`.
    fn put(&mut self, from: usize, to: usize) -> Option<Moved> {
        if from == to {
            return None;
        }
        self.members[to] = self.members[from];
        Some(Moved { key: self.members[to], place: as_place(to) })
    }
}

/// There are fewer connections than file descriptors, which are numbered by an `i32`.
fn as_place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Add,
        Remove(prop::sample::Index),
        Restart,
        Next(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Add),
            3 => any::<prop::sample::Index>().prop_map(Step::Remove),
            1 => Just(Step::Restart),
            3 => (0_u8..6).prop_map(Step::Next),
        ];
        prop::collection::vec(step, 1..200)
    }

    /// The roster beside what it must do: places by key, and who must still get a turn.
    #[derive(Default)]
    struct Model {
        roster: Roster,
        places: HashMap<Key, u32>,
        waiting: HashSet<Key>,
        fresh: Key,
        /// Turns since the round began that nobody waited for.
        idle_turns: usize,
        removed_in_round: usize,
        added_in_round: usize,
    }

    impl Model {
        fn take(&mut self, step: &Step) {
            match step {
                Step::Add => {
                    self.places.insert(self.fresh, self.roster.add(self.fresh));
                    self.fresh += 1;
                    self.added_in_round += 1;
                }
                Step::Remove(index) if !self.places.is_empty() => {
                    let mut keys: Vec<_> = self.places.keys().copied().collect();
                    keys.sort_unstable();
                    let key = *index.get(&keys);
                    let place = self.places.remove(&key).unwrap();
                    for moved in self.roster.remove(place).into_iter().flatten() {
                        assert!(self.places.insert(moved.key, moved.place).is_some(), "a stranger was moved");
                    }
                    self.waiting.remove(&key);
                    self.removed_in_round += 1;
                }
                Step::Remove(_) => {}
                Step::Restart => {
                    self.roster.restart();
                    self.waiting = self.places.keys().copied().collect();
                    (self.idle_turns, self.removed_in_round, self.added_in_round) = (0, 0, 0);
                }
                Step::Next(turns) => (0..*turns).for_each(|_| self.turn()),
            }
            self.check();
        }

        fn turn(&mut self) {
            match self.roster.next() {
                Some(key) => {
                    assert!(self.places.contains_key(&key), "a turn for somebody who went");
                    if !self.waiting.remove(&key) {
                        self.idle_turns += 1;
                    }
                }
                None => assert!(self.waiting.is_empty(), "{:?} were left out", self.waiting),
            }
        }

        fn check(&self) {
            assert_eq!(self.roster.members.len(), self.places.len());
            for (key, place) in &self.places {
                assert_eq!(self.roster.members[*place as usize], *key);
            }
            for key in &self.waiting {
                assert!(self.roster.waits(self.places[key] as usize), "{key} has lost its turn");
            }
            assert!(self.roster.left <= self.places.len());
            assert!(
                self.idle_turns <= self.removed_in_round + self.added_in_round,
                "turns are spent on who had theirs"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn whoever_comes_and_goes_everybody_gets_a_turn(steps in steps()) {
            let mut model = Model::default();
            for step in &steps {
                model.take(step);
            }
            // And the round ends, with everybody served.
            while model.roster.left > 0 {
                model.turn();
            }
            prop_assert!(model.waiting.is_empty());
        }

        #[test]
        fn rounds_that_never_end_starve_nobody(count in 1_u32..50, turns in 1_usize..10, rounds in 1_usize..200) {
            let mut roster = Roster::default();
            for key in 0..count {
                roster.add(key);
            }
            let mut had = vec![0_usize; count as usize];
            for _ in 0..rounds {
                roster.restart();
                for _ in 0..turns.min(count as usize) {
                    had[roster.next().unwrap() as usize] += 1;
                }
            }
            let (least, most) = (had.iter().min().unwrap(), had.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{had:?}");
        }
    }

    #[test]
    fn a_round_has_everybody_once() {
        let mut roster = Roster::default();
        let places: Vec<_> = (0..5).map(|key| roster.add(key)).collect();
        assert_eq!(places, [0, 1, 2, 3, 4]);
        assert!(roster.next().is_none(), "who was just added needs no turn");
        roster.restart();
        let round: Vec<_> = std::iter::from_fn(|| roster.next()).collect();
        assert_eq!(round, [0, 1, 2, 3, 4]);
    }
}
