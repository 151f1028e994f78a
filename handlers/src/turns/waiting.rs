//! In which lines somebody stands, in the orders in which lines have their turns: whose turn it is need not be looked for among
//! all makers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use events::Method;

use super::{LineKey, Queue, Turns};

/// Where a line stands among the others: the best class in it (1 is best), then when it last had a turn.
type Rank = (u8, u64);

/// The lines that are not empty.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    ranks: HashMap<LineKey, Rank>,
    orders: BTreeMap<Method, Orders>,
}

/// The lines in front of one method.
#[derive(Debug, Default)]
struct Orders {
    by_class: BTreeSet<(Rank, LineKey)>,
    by_turn: BTreeSet<(u64, LineKey)>,
}

impl Waiting {
    /// Notes where a line stands from now on; nowhere when nobody stands in it.
    fn set(&mut self, key: LineKey, rank: Option<Rank>) {
        let before = match rank {
            Some(rank) => self.ranks.insert(key, rank),
            None => self.ranks.remove(&key),
        };
        if before == rank {
            return;
        }
        let orders = self.orders.entry(key.method).or_default();
        if let Some(before) = before {
            orders.by_class.remove(&(before, key));
            orders.by_turn.remove(&(before.1, key));
        }
        if let Some(rank) = rank {
            orders.by_class.insert((rank, key));
            orders.by_turn.insert((rank.1, key));
        }
    }

    /// Lines in front of a method: by class, and in a class the one first that waited longest.
    pub(super) fn by_class(&self, method: Method) -> impl Iterator<Item = LineKey> {
        self.orders.get(&method).into_iter().flat_map(|orders| orders.by_class.iter().map(|(_, key)| *key))
    }

    /// The same, the one first that waited longest, whatever stands in it.
    pub(super) fn by_turn(&self, method: Method) -> impl Iterator<Item = LineKey> {
        self.orders.get(&method).into_iter().flat_map(|orders| orders.by_turn.iter().map(|(_, key)| *key))
    }
}

impl Turns {
    /// Changes who stands in a line, or when it had its turn; nothing when there is no such line.
    pub(super) fn change<T>(&mut self, key: LineKey, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let queue = self.queues.get_mut(&key)?;
        let made = change(queue);
        self.order.set(key, queue.rank());
        Some(made)
    }
}

impl Queue {
    /// Where it stands among the others; nowhere when nobody stands in it.
    fn rank(&self) -> Option<Rank> {
        Some((self.line.best_class()?.number(), self.last_turn))
    }
}

#[cfg(test)]
mod tests {
    use events::MakerIndex;

    use super::*;

    fn line(maker: u32) -> LineKey {
        LineKey { maker: MakerIndex(maker), method: Method::Api }
    }

    #[test]
    fn lines_stand_in_both_orders_and_an_empty_one_in_none() {
        let mut waiting = Waiting::default();
        for (maker, rank) in [(1, (3, 10)), (2, (1, 30)), (3, (1, 20)), (4, (2, 5))] {
            waiting.set(line(maker), Some(rank));
        }
        waiting.set(line(4), None);
        waiting.set(line(1), Some((3, 40)));
        assert_eq!(waiting.by_class(Method::Api).collect::<Vec<_>>(), [3, 2, 1].map(line));
        assert_eq!(waiting.by_turn(Method::Api).collect::<Vec<_>>(), [3, 2, 1].map(line));
        waiting.set(line(3), Some((1, 50)));
        assert_eq!(waiting.by_class(Method::Api).collect::<Vec<_>>(), [2, 3, 1].map(line));
        assert_eq!(waiting.by_turn(Method::Api).collect::<Vec<_>>(), [2, 1, 3].map(line));
        assert_eq!(waiting.by_turn(Method::AutomationReliable).count(), 0);
    }
}
