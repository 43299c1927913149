//! From where a setting's value comes, and which of several goes first.
//!
//! Values are plain text here; what they mean is decided in `read`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::manual::{Setting, text_of};

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `--name`
    Flag,
    /// The environment.
    Environment,
    /// `.env` of the working folder.
    DotEnv,
    /// The configuration file.
    File,
    /// The manual.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::DotEnv => ".env",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// What was found outside, before any of it is understood.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Flags by setting name.
    pub(crate) flags: HashMap<String, String>,
    /// The environment, by variable.
    pub(crate) environment: HashMap<String, String>,
    /// `.env`, by variable.
    pub(crate) dotenv: HashMap<String, String>,
    /// The text of the configuration file.
    pub(crate) file: Option<String>,
}

/// The value that holds for one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// As it was written; `None`: not set.
    pub(crate) text: Option<String>,
    /// Who wrote it.
    pub(crate) source: Source,
}

/// The values that hold, by setting name.
pub(crate) type Values = BTreeMap<String, Value>;

/// Finds the value that holds for every setting; fails with everything that is wrong with the file.
pub(crate) fn gather(settings: &[Setting], inputs: &Inputs) -> Result<Values, Vec<String>> {
    let file = inputs.file.as_deref().map_or(Ok(HashMap::new()), |text| file_values(settings, text))?;
    Ok(settings.iter().map(|setting| (setting.name.clone(), value_of(setting, inputs, &file))).collect())
}

fn value_of(setting: &Setting, inputs: &Inputs, file: &HashMap<String, String>) -> Value {
    let variable = setting.variable();
    // Container tools pass variables on that nobody set, as empty ones.
    let filled = |from: &HashMap<String, String>| from.get(&variable).filter(|text| !text.is_empty()).cloned();
    let candidates = [
        (inputs.flags.get(&setting.name).cloned(), Source::Flag),
        (filled(&inputs.environment), Source::Environment),
        (filled(&inputs.dotenv), Source::DotEnv),
        (file.get(&setting.name).cloned(), Source::File),
    ];
    let found = candidates.into_iter().find_map(|(text, source)| text.map(|text| (text, source)));
    match found {
        Some((text, source)) => Value { text: Some(text).filter(|text| !text.is_empty()), source },
        None => Value { text: setting.default.clone(), source: Source::Default },
    }
}

fn file_values(settings: &[Setting], text: &str) -> Result<HashMap<String, String>, Vec<String>> {
    let table =
        text.parse::<toml::Table>().map_err(|error| vec![format!("the configuration file is no TOML: {error}")])?;
    let mut values = HashMap::new();
    let mut problems = Vec::new();
    for (name, value) in table {
        match (settings.iter().any(|setting| setting.name == name), text_of(&value)) {
            (false, _) => problems.push(unknown(settings, &name)),
            (true, None) => problems.push(format!("`{name}` in the file must be a text, a number or a list")),
            (true, Some(text)) => {
                values.insert(name, text);
            }
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn unknown(settings: &[Setting], name: &str) -> String {
    let lower = name.to_lowercase().replace('-', "_");
    let meant = settings.iter().find(|setting| setting.name == lower);
    let hint = meant.map_or(String::from("`livestream config --defaults` lists all"), |setting| {
        format!("in the file it is spelled `{}`", setting.name)
    });
    format!("there is no setting `{name}` (in the file): {hint}")
}

#[cfg(test)]
mod tests {
    use super::super::manual::settings;
    use super::*;

    fn map(name: &str, value: &str) -> HashMap<String, String> {
        HashMap::from([(name.to_owned(), value.to_owned())])
    }

    fn check(inputs: Inputs, name: &str, text: Option<&str>, source: Source) {
        let values = gather(&settings(), &inputs).unwrap();
        assert_eq!(values[name], Value { text: text.map(str::to_owned), source });
    }

    fn all() -> Inputs {
        Inputs {
            flags: map("port", "1"),
            environment: map("PORT", "2"),
            dotenv: map("PORT", "3"),
            file: Some("port = 4".to_owned()),
        }
    }

    #[test]
    fn a_flag_goes_before_the_environment_before_dotenv_before_the_file_before_the_default() {
        check(all(), "port", Some("1"), Source::Flag);
        check(Inputs { flags: HashMap::new(), ..all() }, "port", Some("2"), Source::Environment);
        let less = || Inputs { flags: HashMap::new(), environment: HashMap::new(), ..all() };
        check(less(), "port", Some("3"), Source::DotEnv);
        check(Inputs { dotenv: HashMap::new(), ..less() }, "port", Some("4"), Source::File);
        check(Inputs::default(), "port", Some("3000"), Source::Default);
    }

    #[test]
    fn an_empty_variable_is_not_set_and_an_empty_flag_takes_the_value_away() {
        let env = map("REDIS_URL", "");
        let file = Some("redis_url = \"redis://file\"".to_owned());
        check(
            Inputs { environment: env, file: file.clone(), ..Inputs::default() },
            "redis_url",
            Some("redis://file"),
            Source::File,
        );
        check(Inputs { flags: map("redis_url", ""), file, ..Inputs::default() }, "redis_url", None, Source::Flag);
    }

    #[test]
    fn lists_and_numbers_of_the_file_become_text() {
        let file = |text: &str| Inputs { file: Some(text.to_owned()), ..Inputs::default() };
        check(
            file("cors_origins = [\"https://a\", \"https://b\"]"),
            "cors_origins",
            Some("https://a,https://b"),
            Source::File,
        );
        check(file("sweep_interval = 0.5"), "sweep_interval", Some("0.5"), Source::File);
        check(file("rate_limit = false"), "rate_limit", Some("off"), Source::File);
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said() {
        let check = |text: &str, expect: &str| {
            let inputs = Inputs { file: Some(text.to_owned()), ..Inputs::default() };
            let problems = gather(&settings(), &inputs).unwrap_err().join("\n");
            assert!(problems.contains(expect), "{problems}");
        };
        check("prot = 1", "there is no setting `prot`");
        check("PORT = 1", "in the file it is spelled `port`");
        check("port = {}", "`port` in the file must be");
        check("port =", "no TOML");
        check("a = 1\nb = 2", "`b`");
    }
}
