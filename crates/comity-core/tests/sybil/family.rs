//! Families of graphs: who knows whom among a thousand honest agents.
//!
//! Knowing is mutual; vouching is not, and is the world's (`world.rs`).

use crate::dice::Dice;
use crate::world::HONEST;

/// The shapes in which agents may know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Two halves; one contact in twenty lies across.
    Communities,
    /// Two hundred who know each other well; the others know mostly them.
    CorePeriphery,
    /// Forty organisations of twenty-five. Three contacts in five lie inside; of those across, half
    /// of the ends are the six whose work is with others.
    Organisations,
    /// Anybody knows anybody by the same chance (Erdős and Rényi).
    Random,
    /// Who is known already is met more often (Barabási and Albert).
    ScaleFree,
    /// Neighbours on a ring; a quarter of the contacts lie anywhere (Watts and Strogatz).
    SmallWorld,
}

impl Family {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Communities => "two communities",
            Self::CorePeriphery => "core, periphery",
            Self::Organisations => "organisations",
            Self::Random => "random",
            Self::ScaleFree => "scale-free",
            Self::SmallWorld => "small world",
        }
    }

    /// Makes contacts, so many for each agent on average; returns each agent's.
    pub(crate) fn contacts(self, each: u32, dice: &mut Dice) -> Vec<Vec<u32>> {
        let mut contacts = Contacts::new();
        let pairs = HONEST * each / 2;
        match self {
            Self::Communities => contacts.meet_times(pairs, dice, |dice| {
                let one = dice.below(HONEST);
                let across = dice.chance(5);
                let half = HONEST / 2;
                let side = if across == (one < half) { half } else { 0 };
                (one, side + dice.below(half))
            }),
            Self::CorePeriphery => {
                let core = HONEST / 5;
                contacts
                    .meet_times(core * each / 2, dice, |dice| (dice.below(core), dice.below(core)));
                for one in core..HONEST {
                    let known = each * 7 / 20;
                    contacts.meet_times(known, dice, |dice| (one, dice.below(core)));
                    contacts.meet_times(each / 2 - known, dice, |dice| {
                        (one, core + dice.below(HONEST - core))
                    });
                }
            }
            Self::Organisations => {
                contacts.meet_times(pairs * 3 / 5, dice, |dice| {
                    let organisation = dice.below(ORGANISATIONS) * MEMBERS;
                    (organisation + dice.below(MEMBERS), organisation + dice.below(MEMBERS))
                });
                contacts.meet_times(pairs * 2 / 5, dice, |dice| {
                    let mut anybody = || {
                        let members = if dice.chance(50) { OUTWARD } else { MEMBERS };
                        dice.below(ORGANISATIONS) * MEMBERS + dice.below(members)
                    };
                    (anybody(), anybody())
                });
            }
            Self::Random => {
                contacts.meet_times(pairs, dice, |dice| (dice.below(HONEST), dice.below(HONEST)))
            }
            Self::ScaleFree => {
                // Each meeting puts both into the urn from which the next are drawn.
                let first = each / 2;
                let mut urn: Vec<u32> = (0..=first).collect();
                for newcomer in first + 1..HONEST {
                    let drawn = urn.len() as u32;
                    contacts.meet_times(first, dice, |dice| {
                        (newcomer, urn[dice.below(drawn) as usize])
                    });
                    for met in &contacts.lists[newcomer as usize] {
                        urn.extend([newcomer, *met]);
                    }
                }
            }
            Self::SmallWorld => {
                for one in 0..HONEST {
                    for step in 1..=each / 2 {
                        contacts.meet_times(1, dice, |dice| {
                            let far = dice.chance(25);
                            (one, if far { dice.below(HONEST) } else { (one + step) % HONEST })
                        });
                    }
                }
            }
        }
        contacts.lists
    }
}

const ORGANISATIONS: u32 = 40;
const MEMBERS: u32 = HONEST / ORGANISATIONS;
const OUTWARD: u32 = 6;

struct Contacts {
    known: Vec<bool>,
    lists: Vec<Vec<u32>>,
}

impl Contacts {
    fn new() -> Self {
        let size = HONEST as usize;
        Self { known: vec![false; size * size], lists: vec![Vec::new(); size] }
    }

    /// Has pairs meet until so many have met that did not know each other.
    fn meet_times(
        &mut self,
        times: u32,
        dice: &mut Dice,
        mut pair: impl FnMut(&mut Dice) -> (u32, u32),
    ) {
        let mut met = 0;
        // A pair on the ring may know each other already; no family asks for more than there are.
        for _ in 0..times * 50 {
            if met == times {
                break;
            }
            let (one, other) = pair(dice);
            let place = (one * HONEST + other) as usize;
            if one == other || self.known[place] {
                continue;
            }
            self.known[place] = true;
            self.known[(other * HONEST + one) as usize] = true;
            self.lists[one as usize].push(other);
            self.lists[other as usize].push(one);
            met += 1;
        }
    }
}
