//! A part of a rulebook: some windows and patterns, to be filled from history without all the others.

use tarim_datamart::At;
use tarim_features::stream::Plan;

use super::{
    Spreads, WarningBook, compile, program,
    read::{Head, StepText, Texts},
};

impl WarningBook {
    /// The same rulebook with only some of its windows and patterns, by index, the windows that these patterns read, and
    /// nothing else. What its rules raise is not meant to be shown.
    pub fn part(&self, windows: &[usize], patterns: &[usize]) -> Self {
        let rules: Vec<&str> =
            patterns.iter().map(|p| self.rules[self.patterns[*p].rule].id.as_str()).collect();
        let texts = self.texts.only(&rules);
        let mut keep = vec![false; self.streams.windows().len()];
        for window in windows.iter().copied().chain(self.read_by(&texts)) {
            keep[window] = true;
        }
        let streams = self.streams.only(|window| keep[window]);
        let plan = Plan::new(&streams);
        let compiled = compile::compile(&streams, &plan, &texts, &[], &self.entities);
        let compile::Compiled { rules, patterns, listeners, looks, reads } =
            compiled.unwrap_or_else(|problems| panic!("a part of what is sound is sound:\n{problems}"));
        Self {
            version: self.version.clone(),
            standards: self.standards.clone(),
            members: self.members.clone(),
            texts,
            streams,
            plan,
            rules,
            patterns,
            crossings: looks.crossings,
            looks: looks.all,
            notes: looks.notes,
            listeners,
            allowed_lateness_us: self.allowed_lateness_us.clone(),
            edges: self.edges.clone(),
            // What its rules raise is thrown away.
            spreads: Spreads::default(),
            entities: self.entities.clone(),
            reads,
            contagion: self.contagion,
            delivery: None,
        }
    }

    /// The windows that the conditions of patterns read.
    fn read_by(&self, texts: &Texts) -> Vec<usize> {
        let mut read = Vec::new();
        let mut conditions = Vec::new();
        for s in &texts.sequences {
            let steps = [Some(&s.first), s.then.as_ref(), s.unless.as_ref()];
            conditions.extend(steps.into_iter().flatten().filter_map(StepText::condition));
            let kind = s.then.as_ref().map_or(&s.first.event, |then| &then.event);
            conditions.extend(s.fires.as_ref().map(|fires| (kind, fires)));
        }
        conditions.extend(texts.absences.iter().filter_map(|a| a.of.condition()));
        for (kind, sql) in conditions {
            let Some(kind) = self.streams.kind(&kind.value) else { continue };
            let scope = program::episode_scope(&self.streams, &self.entities, kind);
            // Where it cannot be parsed, compiling says so.
            if let Ok(parsed) = scope.parse(&sql.value, &sql.place) {
                let windows = parsed.columns().iter().filter(|c| c.relation == compile::WINDOW);
                read.extend(windows.map(|c| c.column));
            }
        }
        read
    }
}

impl StepText {
    /// Its kind of events and its condition, if it has one.
    fn condition(&self) -> Option<(&At<String>, &At<String>)> {
        Some((&self.event, self.when.as_ref()?))
    }
}

impl Texts {
    /// The sequences and absences of these ids; their alerts show nothing, and nothing holds them back.
    fn only(&self, ids: &[&str]) -> Self {
        let bare = |head: &Head| Head { suppressed_by: Vec::new(), show: Some(Vec::new()), ..head.clone() };
        let is = |head: &Head| ids.contains(&head.id.as_str());
        let mut texts = Texts {
            sequences: self.sequences.iter().filter(|s| is(&s.head)).cloned().collect(),
            absences: self.absences.iter().filter(|a| is(&a.head)).cloned().collect(),
            ..Texts::default()
        };
        texts.sequences.iter_mut().for_each(|s| s.head = bare(&s.head));
        texts.absences.iter_mut().for_each(|a| a.head = bare(&a.head));
        texts
    }
}
