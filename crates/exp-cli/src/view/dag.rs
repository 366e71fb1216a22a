//! Graphs as text: an indented drawing, Graphviz, Mermaid.

use exp_engine::Dag;

/// Draws a graph as an indented list: below each node those that read what it writes. A node with several before it
/// stands once, below the deepest of them, and names the others.
///
/// `mark` returns what stands before a node and what stands behind it.
pub(crate) fn drawn(dag: &Dag, mark: &dyn Fn(usize) -> (String, String)) -> String {
    let before = dag.before();
    let depths = depths(dag, &before);
    // The node that each one stands below: the deepest before it.
    let parent: Vec<Option<usize>> = (before.iter())
        .map(|before| before.iter().copied().max_by_key(|at| (depths[*at], *at)))
        .collect();
    let mut text = String::new();
    for at in (0..dag.nodes.len()).filter(|at| parent[*at].is_none()) {
        draw(dag, (&before, &parent), at, "", "", mark, &mut text);
    }
    text
}

fn draw(
    dag: &Dag,
    (before, parent): (&[Vec<usize>], &[Option<usize>]),
    at: usize,
    lead: &str,
    below: &str,
    mark: &dyn Fn(usize) -> (String, String),
    text: &mut String,
) {
    let (front, behind) = mark(at);
    let node = &dag.nodes[at];
    let others: Vec<&str> = (before[at].iter())
        .filter(|other| Some(**other) != parent[at])
        .map(|other| dag.nodes[*other].label.as_str())
        .collect();
    let also = if others.is_empty() {
        String::new()
    } else {
        format!("  (also after {})", others.join(", "))
    };
    let behind = if behind.is_empty() { behind } else { format!("  {behind}") };
    text.push_str(&format!("{lead}{front}{}{also}{behind}\n", node.label));
    let children: Vec<usize> =
        node.after.iter().copied().filter(|after| parent[*after] == Some(at)).collect();
    for (number, child) in children.iter().enumerate() {
        let is_last = number + 1 == children.len();
        let lead = format!("{below}{}", if is_last { "└─ " } else { "├─ " });
        let below = format!("{below}{}", if is_last { "   " } else { "│  " });
        draw(dag, (before, parent), *child, &lead, &below, mark, text);
    }
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
        let plain = |_| (String::new(), String::new());
        assert_eq!(drawn(&diamond()?, &plain), "s1\n└─ s2\n   └─ s3  (also after s1)\nsolo\n");
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
