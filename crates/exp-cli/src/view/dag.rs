//! Graphs as text: an indented drawing, Graphviz, Mermaid.

use exp_engine::Dag;

use super::change::listed;
use super::table;

/// From which depth on a drawing no longer indents a node that is the only one below another.
const DEEP: usize = 8;

/// So many lines of a long run are drawn before the rest of it is counted.
const FIRST: usize = 3;

/// Shorter runs are drawn whole.
const LONG: usize = 8;

/// Whether a drawing has a line for each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// It has.
    All,
    /// Of a long run of nodes that stand one under the other and say the same, most are only counted.
    Few,
}

/// How a node is drawn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drawn {
    /// What stands before its name: a symbol and a blank, or nothing.
    pub(crate) front: String,
    /// What stands behind it.
    pub(crate) behind: String,
}

/// Draws a graph as an indented list: below each node those that read what it writes. A node with several before it
/// stands once, below the deepest of them, and names the others. In a deep graph a node that is the only one below
/// another stands under it with `↓` before it instead of being indented, so that long chains stay narrow.
///
/// Lines are cut at `width` columns.
pub(crate) fn drawn(dag: &Dag, width: usize, wanted: Lines, of: &dyn Fn(usize) -> Drawn) -> String {
    let lines = lines(dag, width, of);
    let mut text = String::new();
    let mut at = 0;
    while let Some(first) = lines.get(at) {
        let run = lines[at..].iter().take_while(|line| first.is_like(line)).count();
        let n_drawn = if wanted == Lines::Few && run >= LONG { FIRST } else { run.max(1) };
        for line in &lines[at..at + n_drawn] {
            text.push_str(&format!("{}\n", table::cut(&line.text(), width)));
        }
        if run > n_drawn {
            let n_more = run - n_drawn;
            let more = format!("{}{}… {n_more} more{}", first.lead, first.front, first.remark());
            text.push_str(&format!("{}\n", table::cut(&more, width)));
        }
        at += run.max(1);
    }
    text
}

/// The line of a node.
struct Line<'d> {
    /// What leads to it from the one that it stands below.
    lead: String,
    front: String,
    label: &'d str,
    /// Which others are before it too.
    also: String,
    behind: String,
}

impl Line<'_> {
    /// Returns whether another line has nothing to say that this one has not but a name.
    fn is_like(&self, other: &Self) -> bool {
        (&self.lead, &self.front, &self.behind) == (&other.lead, &other.front, &other.behind)
    }

    fn text(&self) -> String {
        format!("{}{}{}{}{}", self.lead, self.front, self.label, self.also, self.remark())
    }

    fn remark(&self) -> String {
        if self.behind.is_empty() { String::new() } else { format!("  {}", self.behind) }
    }
}

/// Returns the lines of a drawing.
fn lines<'d>(dag: &'d Dag, width: usize, of: &dyn Fn(usize) -> Drawn) -> Vec<Line<'d>> {
    let before = dag.before();
    let depths = depths(dag, &before);
    // The node that each one stands below: the deepest before it.
    let parent: Vec<Option<usize>> = (before.iter())
        .map(|before| before.iter().copied().max_by_key(|at| (depths[*at], *at)))
        .collect();
    let is_deep = depths.iter().any(|depth| *depth > DEEP);
    let mut children = vec![Vec::new(); dag.nodes.len()];
    for (at, node) in dag.nodes.iter().enumerate() {
        children[at].extend(node.after.iter().copied().filter(|after| parent[*after] == Some(at)));
    }
    let mut lines = Vec::with_capacity(dag.nodes.len());
    let roots = (0..dag.nodes.len()).filter(|at| parent[*at].is_none());
    let mut todo: Vec<(usize, String, String)> =
        roots.map(|at| (at, String::new(), String::new())).collect();
    todo.reverse();
    while let Some((at, lead, below)) = todo.pop() {
        let node = &dag.nodes[at];
        let Drawn { front, behind } = of(at);
        let others: Vec<&str> = (before[at].iter())
            .filter(|other| Some(**other) != parent[at])
            .map(|other| dag.nodes[*other].label.as_str())
            .collect();
        let also = if others.is_empty() {
            String::new()
        } else {
            format!("  (also after {})", listed(&others, 3))
        };
        let lead = narrowed(&lead, width);
        lines.push(Line { lead, front, label: &node.label, also, behind });
        let children = &children[at];
        let mut leads = Vec::with_capacity(children.len());
        for (number, child) in children.iter().enumerate() {
            let is_last = number + 1 == children.len();
            leads.push(if is_deep && children.len() == 1 {
                (*child, format!("{below}↓ "), below.clone())
            } else if is_last {
                (*child, format!("{below}└─ "), format!("{below}   "))
            } else {
                (*child, format!("{below}├─ "), format!("{below}│  "))
            });
        }
        todo.extend(leads.into_iter().rev());
    }
    lines
}

/// Returns what leads to a node, at most as much as leaves half of the line for it: the end of it behind a `…`.
fn narrowed(lead: &str, width: usize) -> String {
    let n = lead.chars().count();
    let most = (width / 2).max(4);
    if n <= most {
        return lead.to_owned();
    }
    std::iter::once('…').chain(lead.chars().skip(n - most + 1)).collect()
}

/// Returns the length of the longest path to each node.
fn depths(dag: &Dag, before: &[Vec<usize>]) -> Vec<usize> {
    let mut depths = vec![0; dag.nodes.len()];
    let mut left: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut todo: Vec<usize> = (0..left.len()).filter(|at| left[*at] == 0).collect();
    while let Some(at) = todo.pop() {
        for after in &dag.nodes[at].after {
            depths[*after] = depths[*after].max(depths[at] + 1);
            left[*after] -= 1;
            if left[*after] == 0 {
                todo.push(*after);
            }
        }
    }
    depths
}

/// Writes a graph for Graphviz, as `dvc dag --dot` does.
pub(crate) fn dot(dag: &Dag) -> String {
    let mut text = "strict digraph {\n".to_owned();
    for node in &dag.nodes {
        text.push_str(&format!("\"{}\";\n", node.label));
    }
    for node in &dag.nodes {
        for after in &node.after {
            text.push_str(&format!("\"{}\" -> \"{}\";\n", node.label, dag.nodes[*after].label));
        }
    }
    text.push_str("}\n\n");
    text
}

/// Writes a graph for Mermaid, as `dvc dag --mermaid` does: connected parts one after the other, each sorted.
pub(crate) fn mermaid(dag: &Dag) -> String {
    let mut text = "flowchart TD\n".to_owned();
    let mut numbers = vec![0; dag.nodes.len()];
    let mut n = 0;
    for mut component in dag.components() {
        component.sort_by(|a, b| dag.nodes[*a].label.cmp(&dag.nodes[*b].label));
        for at in &component {
            n += 1;
            numbers[*at] = n;
            text.push_str(&format!("\tnode{n}[\"{}\"]\n", dag.nodes[*at].label));
        }
        for at in &component {
            let mut after: Vec<usize> =
                dag.nodes[*at].after.iter().map(|after| numbers[*after]).collect();
            after.sort_unstable();
            for after in after {
                text.push_str(&format!("\tnode{}-->node{after}\n", numbers[*at]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use exp_engine::DagNode;
    use exp_engine::core::{RelPath, StageId};

    use super::*;

    fn diamond() -> Result<Dag, Box<dyn std::error::Error>> {
        let file = RelPath::new("dvc.yaml")?;
        let node = |label: &str, after: &[usize]| DagNode {
            label: label.to_owned(),
            stages: vec![StageId::named(file.clone(), label)],
            after: after.to_vec(),
        };
        Ok(Dag {
            nodes: vec![node("s3", &[]), node("s1", &[0, 2]), node("s2", &[0]), node("solo", &[])],
        })
    }

    #[test]
    fn a_node_stands_below_the_last_of_those_before_it() -> Result<(), Box<dyn std::error::Error>> {
        let plain = |_| Drawn::default();
        assert_eq!(
            drawn(&diamond()?, 60, Lines::Few, &plain),
            "s1\n└─ s2\n   └─ s3  (also after s1)\nsolo\n"
        );
        Ok(())
    }

    #[test]
    fn a_long_chain_stays_narrow_and_a_line_is_cut() -> Result<(), Box<dyn std::error::Error>> {
        let file = RelPath::new("dvc.yaml")?;
        let node = |at: usize, after: &[usize]| DagNode {
            label: format!("s{at}"),
            stages: vec![StageId::named(file.clone(), format!("s{at}"))],
            after: after.to_vec(),
        };
        let mut nodes: Vec<DagNode> = (0..500).map(|at| node(at, &[at + 1])).collect();
        nodes.push(node(500, &[501, 502]));
        nodes.push(node(501, &[]));
        nodes.push(node(502, &[]));
        let behind = |at| Drawn {
            front: "● ".to_owned(),
            behind: if at == 1 { "what is long ".repeat(9) } else { String::new() },
        };
        let dag = Dag { nodes };
        let text = drawn(&dag, 60, Lines::All, &behind);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "● s0");
        assert_eq!(lines[1].chars().count(), 60);
        assert!(
            lines[1].starts_with("↓ ● s1  what is long") && lines[1].ends_with('…'),
            "{}",
            lines[1]
        );
        assert_eq!(lines[499..], ["↓ ● s499", "↓ ● s500", "├─ ● s501", "└─ ● s502"]);
        let few = drawn(&dag, 60, Lines::Few, &behind);
        let few: Vec<&str> = few.lines().collect();
        assert_eq!(few[..2], lines[..2], "what has something to say is drawn");
        assert_eq!(
            few[2..],
            ["↓ ● s2", "↓ ● s3", "↓ ● s4", "↓ ● … 496 more", "├─ ● s501", "└─ ● s502"]
        );
        Ok(())
    }

    #[test]
    fn thousands_that_stand_alike_are_counted() -> Result<(), Box<dyn std::error::Error>> {
        let file = RelPath::new("dvc.yaml")?;
        let node = |at: usize| DagNode {
            label: format!("s{at}"),
            stages: vec![StageId::named(file.clone(), format!("s{at}"))],
            after: Vec::new(),
        };
        let dag = Dag { nodes: (0..10_000).map(node).collect() };
        let of = |at| Drawn {
            front: if at < 5 { "● " } else { "✓ " }.to_owned(),
            behind: if at == 3 { "in.txt changed".to_owned() } else { String::new() },
        };
        assert_eq!(
            drawn(&dag, 60, Lines::Few, &of),
            "● s0\n● s1\n● s2\n● s3  in.txt changed\n● s4\n✓ s5\n✓ s6\n✓ s7\n✓ … 9992 more\n"
        );
        assert_eq!(drawn(&dag, 60, Lines::All, &of).lines().count(), 10_000);
        let same = |_| Drawn { front: "● ".to_owned(), behind: "x changed".to_owned() };
        assert_eq!(
            drawn(&dag, 60, Lines::Few, &same),
            "● s0  x changed\n● s1  x changed\n● s2  x changed\n● … 9997 more  x changed\n"
        );
        Ok(())
    }

    #[test]
    fn graphviz_and_mermaid_are_as_dvc_writes_them() -> Result<(), Box<dyn std::error::Error>> {
        let dag = diamond()?;
        assert_eq!(
            dot(&dag),
            "strict digraph {\n\"s3\";\n\"s1\";\n\"s2\";\n\"solo\";\n\"s1\" -> \"s3\";\n\"s1\" -> \"s2\";\n\"s2\" -> \
             \"s3\";\n}\n\n"
        );
        assert_eq!(
            mermaid(&dag),
            "flowchart TD\n\tnode1[\"s1\"]\n\tnode2[\"s2\"]\n\tnode3[\"s3\"]\n\tnode1-->node2\n\tnode1-->node3\n\t\
             node2-->node3\n\tnode4[\"solo\"]\n"
        );
        Ok(())
    }
}
