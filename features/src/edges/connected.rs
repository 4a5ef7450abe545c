//! Who is connected with whom, along however many edges, whichever way they lead.

use super::graph::Edges;

impl Edges {
    /// Tells `visit` the member and the id of every customer that is connected with others by edges of these kinds (indexes) that
    /// stand at a time, and the id that stands for all of them: the first in order of id.
    pub fn connected(&self, along: &[usize], at_us: i64, mut visit: impl FnMut(&str, &str, &str)) {
        let mut sets = Sets { parents: (0..self.customers() as u32).collect() };
        for node in 0..sets.parents.len() as u32 {
            for kind in along {
                for to in self.kinds[*kind].of(node, at_us) {
                    sets.join(node, to);
                }
            }
        }
        let mut sizes = vec![0_u32; sets.parents.len()];
        for node in 0..sets.parents.len() as u32 {
            sizes[sets.first(node) as usize] += 1;
        }
        for (at, (member, first)) in self.members.iter().enumerate() {
            let end = self.members.get(at + 1).map_or(sets.parents.len() as u32, |(_, next)| *next);
            for node in *first..end {
                let stands_for = sets.first(node);
                if sizes[stands_for as usize] > 1 {
                    visit(member, self.id(node), self.id(stands_for));
                }
            }
        }
    }
}

/// Sets of nodes, each by its first.
struct Sets {
    /// A node of the same set that is not behind it; the first of a set is its own.
    parents: Vec<u32>,
}

impl Sets {
    fn first(&mut self, mut node: u32) -> u32 {
        while self.parents[node as usize] != node {
            // Half the way for the next one.
            let above = self.parents[self.parents[node as usize] as usize];
            self.parents[node as usize] = above;
            node = above;
        }
        node
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.first(a), self.first(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Builder, Row};

    #[test]
    fn whoever_hangs_together_is_told_with_the_first() {
        let mut builder = Builder::new(2);
        let mut add = |edge, member, from, to, until_us| {
            builder.add(Row { edge, member, from, to, since_us: None, until_us }).expect("few")
        };
        add(0, "001", "c3", "c2", None);
        add(1, "001", "c1", "c3", None);
        add(0, "001", "c8", "c9", Some(5));
        add(0, "002", "c1", "c2", None);
        let edges = builder.finish().expect("few");
        let all = |along: &[usize], at_us| {
            let mut all = Vec::new();
            edges.connected(along, at_us, |member, id, first| all.push(format!("{member} {id} {first}")));
            all
        };
        let three = ["001 c1 c1", "001 c2 c1", "001 c3 c1"];
        assert_eq!(all(&[0, 1], 9), [&three[..], &["002 c1 c1", "002 c2 c1"]].concat());
        assert_eq!(
            all(&[0], 0),
            ["001 c2 c2", "001 c3 c2", "001 c8 c8", "001 c9 c8", "002 c1 c1", "002 c2 c1"]
        );
        assert_eq!(all(&[], 0), Vec::<String>::new());
    }
}
