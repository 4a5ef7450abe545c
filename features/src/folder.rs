//! The rulebook as a folder of files: what is in it, and the version that its contents have.

use std::{
    io,
    path::{Path, PathBuf},
};

use tarim_datamart::{Place, Problems};

/// What stands at the top of a rulebook; anything else is a slip of the pen that would drop a policy.
const TOP: [&str; 12] = [
    "federation.toml",
    "standards",
    "features",
    "lists",
    "models",
    "products",
    "policies",
    "interception",
    "limits",
    "warnings",
    "members",
    "tests",
];

/// Where files are read from: folders, each with the extension that is read there. What else lies in them would be left out,
/// such as a limit, which would then hold nobody. Whoever reads the other folders sees to them.
const READ: &[(&str, &str)] = &[
    ("standards", "toml"),
    ("standards/codes", "csv"),
    ("features", "toml"),
    ("features/streams", "toml"),
    ("features/edges", "toml"),
    ("lists", "toml"),
    ("models", "toml"),
    ("models", "csv"),
    ("products", "toml"),
    ("limits", "toml"),
    ("tests", "toml"),
];

/// Files of a rulebook, relative to its root, in order of their paths. Hidden files are not part of it.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Folder {
    /// Lists a rulebook. Problems: it is not a folder, or has something that no rulebook has, or has it elsewhere.
    pub fn open(root: &Path) -> Result<Self, Problems> {
        let mut files = Vec::new();
        walk(root, Path::new(""), &mut files).map_err(|e| {
            Place::file(root).problem(
                format!("cannot read the rulebook: {e}"),
                "name its folder with --rulebook (or TARIM_RULEBOOK)",
            )
        })?;
        files.sort();
        let this = Self { root: root.to_path_buf(), files };
        let mut problems = Problems::default();
        for file in this.files.iter().filter(|f| f.extension().is_none_or(|e| e != "md")) {
            let top = file.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned());
            let top = top.unwrap_or_default();
            if !TOP.contains(&top.as_str()) {
                problems.push(Place::file(file).problem(
                    format!("`{top}` is not part of a rulebook, so this would be left out"),
                    format!("move it to one of {}; notes are .md files", TOP.join(", ")),
                ));
            }
        }
        problems.or(this)
    }

    /// Files that lie where nothing reads them: a limit in a subfolder would limit nothing. For whoever checks a rulebook, not for
    /// whoever reads one that was published.
    pub fn left_out(&self) -> Problems {
        let mut problems = Problems::default();
        for file in self.files.iter().filter(|f| f.extension().is_none_or(|e| e != "md")) {
            let top = file.components().next().map(|c| c.as_os_str().to_string_lossy()).unwrap_or_default();
            if let Some(read) = left_out(file, &top) {
                problems.push(Place::file(file).problem(
                    "nothing reads a file here, so this would be left out",
                    format!("move it to where files are read ({read}), or remove it; notes are .md files"),
                ));
            }
        }
        problems
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Files straight in a folder, with this extension.
    pub fn list(&self, folder: &str, extension: &str) -> Vec<&Path> {
        self.files
            .iter()
            .map(PathBuf::as_path)
            .filter(|f| {
                f.parent() == Some(Path::new(folder)) && f.extension().is_some_and(|e| e == extension)
            })
            .collect()
    }

    /// Names of the folders straight in a folder.
    pub fn folders(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .files
            .iter()
            .filter_map(|f| f.strip_prefix(folder).ok())
            .filter(|rest| rest.components().count() > 1)
            .filter_map(|rest| Some(rest.components().next()?.as_os_str().to_string_lossy().into_owned()))
            .collect();
        names.dedup();
        names
    }

    pub fn has(&self, file: &Path) -> bool {
        self.files.iter().any(|f| f == file)
    }

    /// BLAKE3 of all paths and contents, in hexadecimal: the rulebook's version.
    pub fn version(&self) -> io::Result<String> {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            // Lengths first: a byte cannot wander from one file to the next unseen. One separator everywhere.
            let name =
                file.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
            let contents = std::fs::read(self.root.join(file))?;
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&(contents.len() as u64).to_le_bytes());
            hasher.update(&contents);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// Of a file that lies where nothing reads it: what is read of its folder instead.
fn left_out(file: &Path, top: &str) -> Option<String> {
    let read: Vec<_> = READ.iter().filter(|(folder, _)| Path::new(folder).starts_with(top)).collect();
    let is_read = read.iter().any(|(folder, extension)| {
        file.parent() == Some(Path::new(folder)) && file.extension().is_some_and(|e| e == *extension)
    });
    let all: Vec<String> = read.iter().map(|(folder, extension)| format!("{folder}/*.{extension}")).collect();
    (!is_read && !all.is_empty()).then(|| all.join(", "))
}

fn walk(root: &Path, under: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(under))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = under.join(entry.file_name());
        // Follows links: a published copy must not point into somebody's working folder.
        if std::fs::metadata(entry.path())?.is_dir() {
            walk(root, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
