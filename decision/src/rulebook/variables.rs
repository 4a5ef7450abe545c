//! The order of variables: each after those that it uses.

use std::collections::{BTreeMap, BTreeSet};

use tarim_datamart::{Problem, Problems};
use tarim_features::expr::names_used;

use super::policies::Variable;

/// Variables in an order in which each follows those that it uses. A circle is a problem.
pub fn in_order(variables: &[Variable]) -> Result<Vec<&Variable>, Problems> {
    let by_name: BTreeMap<&str, &Variable> = variables.iter().map(|v| (v.name.value.as_str(), v)).collect();
    let mut walk = Walk { by_name, done: BTreeSet::new(), path: Vec::new(), order: Vec::new() };
    let mut problems = Problems::default();
    for variable in variables {
        walk.path.clear();
        problems.take(walk.visit(variable));
    }
    problems.or(walk.order)
}

struct Walk<'a> {
    by_name: BTreeMap<&'a str, &'a Variable>,
    done: BTreeSet<&'a str>,
    path: Vec<&'a str>,
    order: Vec<&'a Variable>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, variable: &'a Variable) -> Result<(), Problem> {
        let name = variable.name.value.as_str();
        if self.done.contains(name) {
            return Ok(());
        }
        if let Some(start) = self.path.iter().position(|n| *n == name) {
            let circle = [&self.path[start..], &[name]].concat();
            // Told once, not once more from each variable of the circle.
            self.done.extend(&self.path);
            return Err(variable.name.place.problem(
                format!("variables go in a circle: {}", circle.join(" → ")),
                "let one of them stand without the others",
            ));
        }
        self.path.push(name);
        for (relation, used) in names_used(&variable.sql.value, &variable.sql.place)? {
            let used = self.by_name.get(used.as_str()).filter(|_| relation == "let").copied();
            if let Some(used) = used {
                self.visit(used)?;
            }
        }
        self.path.pop();
        self.done.insert(name);
        self.order.push(variable);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tarim_datamart::{At, Place};

    use super::*;

    fn variable(name: &str, sql: &str) -> Variable {
        let at = |text: &str| At { value: text.to_owned(), place: Place::file(Path::new("variables.toml")) };
        Variable { name: at(name), sql: at(sql) }
    }

    #[test]
    fn variables_follow_what_they_use() {
        let all = [variable("a", "let.b * param.x"), variable("b", "param.y")];
        let order = in_order(&all).unwrap();
        assert_eq!(order.iter().map(|v| v.name.value.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn a_circle_is_told_with_its_path() {
        let all = [variable("a", "let.b"), variable("b", "let.c"), variable("c", "let.b + 1")];
        assert!(in_order(&all).unwrap_err().to_string().contains("b → c → b"));
    }
}
